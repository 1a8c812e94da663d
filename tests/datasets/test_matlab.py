"""The reader of structures in Matlab files, against SciPy's writer. Damaged files are refused and do no harm."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from sat_exp.datasets.matlab import structures

MOST = 1 << 20
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), min_size=1, max_size=12)
KINDS = st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
ROWS = st.lists(st.tuples(st.integers(0, 100), TEXT), min_size=1, max_size=5)


def written(rows: Any, kind: str = "f8", *, compressed: bool = True, **others: Any) -> bytes:
    """A file with the structures `rows`, each with a number, a text, and fields of no interest."""
    table = np.zeros(len(rows), dtype=[("NUMBER", kind), ("gloss", "O"), ("NAME", "O"), ("children", "O")])
    for row, (number, text) in zip(table, rows, strict=True):
        row["NUMBER"], row["NAME"] = number, text
        row["gloss"], row["children"] = "words " * 9, np.arange(number % 4, dtype=np.uint8)
    buffer = io.BytesIO()
    savemat(buffer, {"before": np.eye(3)} | others | {"table": table[:, None]}, do_compression=compressed)
    return buffer.getvalue()


@given(ROWS, KINDS, st.booleans())
def test_values_are_those_that_scipy_wrote(rows: list[tuple[int, str]], kind: str, compressed: bool) -> None:
    content = written(rows, kind, compressed=compressed)
    assert structures(content, "table", ("NUMBER", "NAME"), MOST) == rows
    known = np.atleast_1d(loadmat(io.BytesIO(content), squeeze_me=True)["table"])
    assert structures(content, "table", ("NAME",), MOST) == [(str(name),) for name in known["NAME"]]


def test_what_is_not_there_is_said() -> None:
    content = written([(3, "a")])
    for name, fields in (
        ("absent", ("NAME",)),
        ("table", ("absent",)),
        ("before", ("NAME",)),
        ("table", ("children",)),
    ):
        with pytest.raises((LookupError, ValueError)):
            structures(content, name, fields, MOST)


@pytest.mark.parametrize(("order", "mark"), [("<", b"\0\x01IM"), (">", b"\x01\0MI")])
def test_what_would_fill_the_memory_is_not_unpacked(order: str, mark: bytes) -> None:
    bomb = zlib.compress(bytes(1 << 26))
    content = bytes(124) + mark + struct.pack(f"{order}II", 15, len(bomb)) + bomb
    with pytest.raises(ValueError, match="larger than allowed"):
        structures(content, "table", ("NAME",), MOST)
    inner = zlib.compress(bytes(8))
    for _ in range(2000):  # compressed in compressed, without end
        inner = zlib.compress(struct.pack("<II", 15, len(inner)) + inner)
    with pytest.raises((ValueError, LookupError, RecursionError)):
        structures(bytes(126) + b"IM" + struct.pack("<II", 15, len(inner)) + inner, "table", ("NAME",), MOST)


@given(st.data(), st.booleans())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject, compressed: bool) -> None:
    content = bytearray(written([(1, "one"), (2, "two")], compressed=compressed))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    for damaged in (bytes(content), bytes(content[:end])):
        try:
            found = structures(damaged, "table", ("NUMBER", "NAME"), MOST)
        except (ValueError, LookupError, TypeError, zlib.error, OverflowError, RecursionError):
            continue
        assert all(isinstance(value, (str, int, float)) for row in found for value in row)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, zlib.error, OverflowError)):
        structures(bytes(126) + b"IM" + content, "table", ("NUMBER", "NAME"), MOST)
