"""Matrices of SAT: their names and standard errors, and valid and invalid files of other people."""

import math
import os
import socket

import numpy as np
import pandas as pd
import pytest

from sat_exp.errors import UserError
from sat_exp.similarity.matrices import Matrix, read, sampling_error

from ..command import PUBLISHED


def as_matrix(sat):
    error = sampling_error(sat, 5000)
    return Matrix("matrix", sat, error, error)


@pytest.fixture
def square():
    names = ["a", "b", "c", "d"]
    sat = [[4.6, 3.0, 2.0, 2.5], [3.0, 4.6, 2.2, 2.4], [2.0, 2.2, 4.6, 3.5], [2.5, 2.4, 3.5, 4.6]]
    return pd.DataFrame(sat, index=names, columns=names)


def test_the_published_error_is_the_known_one_and_falls_with_the_root_of_the_images(published):
    upper = np.triu_indices(69, 1)
    error = sampling_error(published, 5000).to_numpy()[upper]
    assert error.mean() == pytest.approx(0.027, abs=0.001)
    assert sampling_error(published, 1000).to_numpy()[upper] == pytest.approx(math.sqrt(5) * error)
    certain = pd.DataFrame([[math.log(100)]], index=["a"], columns=["a"])
    assert 0 < sampling_error(certain, 5000).iloc[0, 0] < 0.001


def test_other_names_of_a_model_are_known(square):
    renamed = as_matrix(square).renamed({"b": "bee", "unused": "a"})
    assert renamed.models == ["a", "bee", "c", "d"]
    assert renamed.sat.loc["bee", "a"] == 3.0
    assert renamed.error.loc["bee", "c"] == as_matrix(square).error.loc["b", "c"]
    with pytest.raises(UserError, match="matrix has a twice"):
        as_matrix(square).renamed({"b": "a"})


def test_the_published_file_is_read_unchanged(published):
    found = read(PUBLISHED, 5000)
    pd.testing.assert_frame_equal(found.sat, published, check_names=False)
    assert found.name == "sat_matrix_69"


def test_columns_in_another_order_and_a_triangle_are_read(square, tmp_path):
    upper = square.where(np.triu(np.ones((4, 4), dtype=bool)))
    upper[["d", "b", "a", "c"]].to_csv(tmp_path / "upper.csv")
    pd.testing.assert_frame_equal(read(tmp_path / "upper.csv", 100).sat, square)


BAD = {
    "missing file": (None, "no file .*other.csv; did you mean .*others.csv"),
    "empty": ("", r"cannot be read as CSV \(no rows or no columns\): give a square matrix of SAT"),
    "not square": (",a,b\na,1,2\n", "not a square matrix of the same models: 1 rows, 2 columns; b has not both"),
    "other names": (",a,b\na,1,2\nc,2,1\n", "2 rows, 2 columns; b has not both a row and a column"),
    "twice": (",a,a\na,1,2\na,2,1\n", "has a twice"),
    "a word": (",a,b\na,1,x\nb,2,1\n", "has 'x' at a, b: give a number"),
    "directed": (",a,b\na,1,2\nb,3,1\n", "is not symmetric: give SAT, not directed rates"),
    "pairs": ("model_a,model_b,sat\na,b,1\n", "a table of pairs, not a square matrix: give the folder of its run"),
    "bytes": (b"\xff\xfe\x00\x01", "cannot be read as CSV"),
    "a null": (b",a,b\na,1,2\nb,2,\x00\n", r"cannot be read as CSV \(it is binary\)"),
    "names alone": (",a,b\n", "no rows or no columns"),
    "a short row": (",a,b\na,1\nb,2,1\n", "has 2 entries in row 2, where 3 belong"),
    "an open quotation": (',a,b\na,1,"2\nb,2,1\n', "cannot be read as CSV"),
    "no name": (",a,\na,1,2\n,2,1\n", "has the name ''"),
    "a name that a terminal obeys": (",a,\x1b[2Jb\na,1,2\n\x1b[2Jb,2,1\n", r"has the name '\\x1b\[2Jb'"),
    "a name that turns": (",a,b\u202e\na,1,2\nb\u202e,2,1\n", "has the name"),
    "a long name": (f",a,{'b' * 301}\na,1,2\n{'b' * 301},2,1\n", "has the name"),
    "infinite": (",a,b\na,1,inf\nb,inf,1\n", "has 'inf' at a, b: give a number"),
    "rates in percent": (",a,b\na,99,20\nb,20,99\n", "has 99 at a, a: SAT, .* is between -4.61 and 4.61"),
    "below the floor": (",a,b\na,4.6,-4.7\nb,-4.7,4.6\n", "has -4.7 at a, b"),
    "not fooled by itself": (",a,b\na,-1,2\nb,2,4\n", "has -1 for a and itself"),
    "the same everywhere": (",a,b,c\na,4,2,2\nb,2,4,2\nc,2,2,4\n", "has 2 for all pairs"),
}


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "loop", "large"])
def test_what_is_no_plain_file_gets_one_line_and_no_wait(kind, tmp_path):
    path = tmp_path / "other.csv"
    made = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "socket": lambda: socket.socket(socket.AF_UNIX).bind(str(path)),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "large": lambda: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 65 << 20),
    }
    made[kind]()
    words = {"folder": "Is a directory", "loop": "Too many levels of symbolic links", "large": "Larger than 64 MB"}
    with pytest.raises(UserError, match=rf"cannot be read as CSV \({words.get(kind, 'Not a regular file')}\)"):
        read(path, 5000)


def test_a_floor_of_ones_own_is_the_least(tmp_path):
    (tmp_path / "low.csv").write_text(",a,b\na,4.6,-4.7\nb,-4.7,4.6\n")
    assert read(tmp_path / "low.csv", 5000, floor=0.001).sat.loc["a", "b"] == -4.7


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_gets_one_line(content, message, tmp_path):
    path = tmp_path / "other.csv"
    if content is None:
        (tmp_path / "others.csv").touch()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        read(path, 5000)
    assert "\n" not in str(error.value)
