"""Pickles are read as data: arrays are restored, and no file runs code, hangs or fills the memory."""

import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sat_exp import pickles

NUMBERS = st.sampled_from(["u1", "<i4", ">i2", "i8", "f4", "f8", "?"])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(min_size=1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(arrays.arrays(NUMBERS, SHAPES), st.integers(0, 4), st.booleans())
def test_arrays_come_out_as_they_went_in(values: np.ndarray, protocol: int, by_columns: bool) -> None:
    values = np.asfortranarray(values) if by_columns else values
    found = pickles.read(pickle.dumps({"a": [values, "text"]}, protocol))["a"][0].values
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@given(PLAIN, st.integers(0, 5))
def test_plain_values_come_out_as_they_went_in(value: Any, protocol: int) -> None:
    assert pickles.read(pickle.dumps(value, protocol)) == value


class Canary:
    """Unpickled by the ordinary reader, this makes a folder."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = call, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    crafted = [
        Canary(os.mkdir, str(made)),
        Canary(os.system, f"mkdir {made}"),
        Canary(eval, f"__import__('os').mkdir({str(made)!r})"),
        Canary(getattr, "text", "join"),
        Canary(np.load, str(made)),
        {"array": [np.array([Canary(os.mkdir, str(made))], dtype=object)]},
    ]
    for value in crafted:
        with pytest.raises((pickle.UnpicklingError, ValueError)):
            pickles.read(pickle.dumps(value, protocol))
    assert not made.exists()
    pickle.loads(pickle.dumps(crafted[0], protocol))  # which would have run it
    assert made.exists()


def test_the_classes_that_stand_for_numpys_cannot_be_changed() -> None:
    for module, name in pickles.ArrayUnpickler.known:
        for state in (b"}X\x08\0\0\0__init__K\x01s", b"N}X\x08\0\0\0__init__K\x01s\x86"):
            before = dict(vars(pickles.ArrayUnpickler.known[module, name]))
            with pytest.raises((pickle.UnpicklingError, ValueError, TypeError)):
                pickles.read(b"\x80\x02c%s\n%s\n%sb." % (module.encode(), name.encode(), state))
            assert dict(vars(pickles.ArrayUnpickler.known[module, name])) == before


@pytest.mark.parametrize(
    "kind", [np.dtype("O"), np.dtype("V8"), np.dtype("S4"), np.dtype("U4"), np.dtype([("a", "f4")]), np.dtype("M8[s]")]
)
def test_arrays_of_something_else_than_numbers_are_refused(kind: np.dtype) -> None:
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        pickles.read(pickle.dumps(np.zeros(2, kind), 4))


def doubled(depth: int, value: bytes = b"K\x01") -> bytes:
    """A pair of a pair of a pair …, each of one value twice: 2 ** depth values in some 5 * depth bytes."""
    return value + b"".join(b"q%ch%c\x86" % (level, level) for level in range(depth))


@pytest.mark.parametrize(
    "body",
    [
        doubled(45) + b".",
        b"}" + doubled(45) + b"K\x01s.",  # as a key, its hash would take years
        b"cnumpy\ndtype\n" + doubled(45) + b"R.",
        b"(" + b"K\x01" * 10 + b"l" + b"".join(b"q%c(%sl" % (i, b"h%c" % i * 10) for i in range(9)) + b".",
    ],
)
def test_values_in_values_without_end_are_refused_at_once(body: bytes) -> None:
    for content in (body, b"\x80\x02" + body):
        with pytest.raises(ValueError, match="has more than 10,000,000 values"):
            pickles.read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"text",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",  # its memo would take gigabytes
        b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"abc.",
        b"\x80\x02h\x07.",
        b"\x80\x02t.",
        b"]" * 1000 + b"a" * 999,
    ],
)
def test_damaged_pickles(content: bytes) -> None:
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        pickles.read(content)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_an_error(content: bytes) -> None:
    try:
        pickles.check_size(BytesIO(content))
    except ValueError:
        return


@given(PLAIN, st.integers(0, 5))
def test_as_many_values_are_counted_as_there_are(value: Any, protocol: int) -> None:
    """A pickle of less than MOST values is none that is refused, whatever it shares."""
    pickles.check_size(BytesIO(pickle.dumps([value, value, {"again": value}], protocol)))
