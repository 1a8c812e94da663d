"""Stored arrays: what is written comes back, and what is not as it was written is noticed."""

import errno
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.errors import UserError
from sat_exp.store import Damaged, Store, StoredArray
from sat_exp.store.arrays import key_of

FACTS = {"images": "ab", "numbers": {"epsilon": 8, "step_size": 1.5}}
ROWS, CHUNK = 10, 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def open_array(store: Store, facts: dict[str, Any] = FACTS, rows: int = ROWS, chunk: int = CHUNK) -> StoredArray:
    return store.open("adversarial", facts, shape=(rows, 3, 5, 5), dtype="uint8", chunk=chunk, name="some")


def contents(rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, 3, 5, 5), np.uint8)


def fill(array: StoredArray) -> np.ndarray:
    """Write what is missing, as a run does."""
    values = contents(array.rows)
    for chunk in array.missing():
        array.write(chunk, values[array.span(chunk)])
    return values


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_what_is_written_comes_back_from_a_new_handle(store: Store) -> None:
    values = fill(open_array(store))
    array = open_array(store)
    assert array.missing() == []
    np.testing.assert_array_equal(array.read_all(), values)


def test_the_last_chunk_is_the_rest(store: Store) -> None:
    array = open_array(store)
    assert [array.length(chunk) for chunk in range(array.chunks)] == [4, 4, 2]
    values = fill(array)
    np.testing.assert_array_equal(array.read(2), values[8:])


def test_only_what_is_missing_is_left_to_do(store: Store) -> None:
    array = open_array(store)
    array.write(1, contents()[4:8])
    assert open_array(store).missing() == [0, 2]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_a_chunk_of_zeros_is_written_too(store: Store, dtype: str) -> None:
    """Also by a process that finds the array begun: a run would never end otherwise."""
    for _ in range(2):
        array = store.open("predictions", FACTS, shape=(6,), dtype=dtype, chunk=3)
        array.write(array.missing()[0], np.zeros(3, dtype))
    assert array.missing() == []
    assert not array.read_all().any()


def test_float_logits_keep_every_bit(store: Store) -> None:
    logits = np.array([[np.nan, -0.0, np.inf], [1e-45, 3.4e38, 0.1]], np.float32)
    array = store.open("logits", FACTS, shape=(2, 3), dtype="float32", chunk=1)
    for chunk in range(2):
        array.write(chunk, logits[array.span(chunk)])
    assert array.read_all().tobytes() == logits.tobytes()


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(0, 12), chunk=st.integers(1, 15), picks=st.sets(st.integers(0, 11)))
def test_gathered_rows_are_those_rows(tmp_path_factory: Any, rows: int, chunk: int, picks: set[int]) -> None:
    array = open_array(Store(tmp_path_factory.mktemp("gather")), rows=rows, chunk=chunk)
    values = fill(array)
    chosen = sorted(pick for pick in picks if pick < rows)
    np.testing.assert_array_equal(array.gather(chosen), values[chosen])


def test_an_array_of_no_rows_is_complete(store: Store) -> None:
    array = open_array(store, rows=0)
    assert array.missing() == []
    assert array.read_all().shape == (0, 3, 5, 5)
    assert open_array(store, rows=0).damaged() == []


def test_the_order_of_facts_does_not_matter(store: Store) -> None:
    turned = {"numbers": {"step_size": 1.5, "epsilon": 8}, "images": "ab"}
    assert open_array(store, turned).path == open_array(store, FACTS).path


def test_other_facts_make_another_array(store: Store) -> None:
    others = [
        FACTS,
        FACTS | {"images": "ac"},
        FACTS | {"seed": 0},
        FACTS | {"numbers": {"epsilon": 9, "step_size": 1.5}},
    ]
    assert len({open_array(store, facts).path for facts in others}) == len(others)


def test_keys_stay_what_they_are() -> None:
    """A key that changes would silently throw away every store there is."""
    assert key_of({"b": [1, 2.5, None], "a": "ε"}) == key_of({"a": "ε", "b": [1, 2.5, None]})
    assert key_of({"a": 1}) == "015abd7f5cc57a2dd94b7590"


def test_the_chunk_size_of_an_array_begun_is_kept(store: Store) -> None:
    open_array(store, chunk=4)
    assert open_array(store, chunk=7).chunk == 4


def test_notes_are_added_and_kept(store: Store) -> None:
    array = open_array(store)
    array.note(seconds=1.5)
    array.note(mean_l2=2.0, seconds=3.0)
    assert open_array(store).notes == {"name": "some", "seconds": 3.0, "mean_l2": 2.0}


@pytest.mark.parametrize("chunk", range(3))
@pytest.mark.parametrize("place", [0.0, 0.3, 0.99])
def test_a_flipped_byte_is_noticed_named_removed_and_made_anew(store: Store, chunk: int, place: float) -> None:
    array = open_array(store)
    values = fill(array)
    before = {n: array.file(n).read_bytes() for n in range(array.chunks)}
    file = array.file(chunk)
    flip(file, int(place * file.stat().st_size))
    with pytest.raises(Damaged, match=f"{file} is damaged"):
        array.read_all()
    assert array.missing() == [chunk]
    fill(array)
    np.testing.assert_array_equal(array.read_all(), values)
    assert {n: array.file(n).read_bytes() for n in range(array.chunks)} == before


def test_a_flip_of_any_byte_of_the_metadata_is_noticed_or_changes_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    values = fill(open_array(store))
    path = open_array(store).path
    saved = store.folder / "saved"
    shutil.copytree(path, saved)
    noticed, size = 0, (path / "zarr.json").stat().st_size
    for position in range(0, size, 11):
        flip(path / "zarr.json", position)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            array = open_array(store)
        if array.missing():
            assert f"{path / 'zarr.json'} is damaged" in caplog.text
            assert array.missing() == [0, 1, 2]
            assert array.notes == {"name": "some"}
            noticed += 1
        else:
            np.testing.assert_array_equal(array.read_all(), values)
        shutil.rmtree(path)
        shutil.copytree(saved, path)
    assert noticed > size / 11 / 4


def test_all_damaged_files_are_named_at_once(store: Store) -> None:
    array = open_array(store)
    fill(array)
    flip(array.file(0), 5)
    flip(array.file(2), 5)
    with pytest.raises(Damaged) as damage:
        array.verify()
    assert str(array.file(0)) in str(damage.value)
    assert str(array.file(2)) in str(damage.value)
    assert array.missing() == [0, 2]
    array.verify()


@pytest.mark.parametrize("left", [0, 3, 40, -1])
def test_a_truncated_file_is_damaged(store: Store, left: int) -> None:
    array = open_array(store)
    fill(array)
    array.file(1).write_bytes(array.file(1).read_bytes()[:left])
    with pytest.raises(Damaged, match="is damaged"):
        array.read(1)
    assert array.missing() == [1]


def test_a_chunk_that_is_gone_is_not_zeros(store: Store) -> None:
    array = open_array(store)
    fill(array)
    array.file(0).unlink()
    with pytest.raises(Damaged, match="is gone"):
        array.read(0)


def test_a_chunk_removed_while_it_is_read_is_not_zeros(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    array = open_array(store)
    fill(array)
    is_file = Path.is_file

    def then_removed(path: Path) -> bool:
        found = is_file(path)
        path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "is_file", then_removed)
    with pytest.raises(Damaged, match="is gone"):
        array.read(0)


def test_a_file_that_cannot_be_opened_just_now_is_not_thrown_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = open_array(store)
    fill(array)

    def refuse(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(type(array.array), "__getitem__", refuse)
        with pytest.raises(UserError, match=r"cannot read .*Too many open files"):
            array.read(0)
    assert array.missing() == []


def test_an_array_of_another_key_is_not_trusted(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Chunks cannot be moved between arrays, because metadata that were edited fail their checksum."""
    fill(open_array(store))
    file = open_array(store).path / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["attributes"]["notes"]["mean_l2"] = 1.0
    file.write_text(json.dumps(metadata))
    assert open_array(store).missing() == [0, 1, 2]
    assert "checksum" in caplog.text


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(options, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_loses_nothing(mount: Path) -> None:
    array = Store(mount).open("images", FACTS, shape=(40, 20_000), dtype="uint8", chunk=4)
    noise = np.random.default_rng(0).integers(0, 256, (40, 20_000), np.uint8)

    def write_all() -> None:
        for chunk in array.missing():
            array.write(chunk, noise[array.span(chunk)])

    def open_many() -> None:
        for key in range(1000):
            Store(mount).open("images", {"key": key}, shape=(40,), dtype="uint8", chunk=4)

    with pytest.raises(UserError, match=r"the disk is full at .*free some space"):
        write_all()
    assert array.missing() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert array.damaged() == []
    assert not list(mount.rglob("*.partial"))
    with pytest.raises(UserError, match="the disk is full"):
        open_many()


def test_no_space_while_writing_a_chunk_or_a_note(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    array = open_array(store)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="the disk is full at"):
        array.write(0, contents()[:4])
    with pytest.raises(UserError, match="the disk is full at"):
        array.note(seconds=1)
    assert array.missing() == [0, 1, 2]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "store")
    with pytest.raises(UserError, match=r"cannot .* Not a directory"):
        open_array(store)
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="):
        store.lock("attack")


def test_a_read_only_folder_is_one_line(mount: Path) -> None:
    fill(open_array(Store(mount)))
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    array = open_array(Store(mount))
    np.testing.assert_array_equal(array.read_all(), contents())
    with pytest.raises(UserError, match=r"cannot write to .*Read-only file system; give output_dir="):
        array.write(0, contents()[:4])
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="):
        open_array(Store(mount), {"other": 1})
    with pytest.raises(UserError, match=r"cannot write to .*output_dir="):
        Store(mount).lock("attack")
