"""Encoded chunks: they have the bytes of zarr 3, and their checksums detect every change."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zarr.codecs import Crc32cCodec

from sat_exp.store import Store, key_of
from sat_exp.store.encoding import Unsound, decode, encode, sign, verify

DTYPES = ["bool", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint64", "float16", "float32", "float64"]
DOCUMENT = {"shape": [3, 2], "attributes": {"facts": {"model": "vit ε", "rate": 0.1, "none": None}}, "z": [True, -1e-9]}

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(values=arrays, chunk=st.integers(1, 8))
def test_zarr_and_the_store_read_and_write_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("zarr")
    ours = Store.at(folder / "store").open("kind", {"a": 1}, shape=values.shape, dtype=values.dtype.name, chunk=chunk)
    for part in ours.missing():
        ours.write(part, values[ours.span(part)])
    seen = zarr.open_array(folder / "store" / ours.path, mode="r")
    assert np.asarray(seen[:]).tobytes() == values.tobytes()
    assert (seen.shape, seen.dtype, seen.chunks) == (values.shape, values.dtype, (ours.chunk, *values.shape[1:]))
    assert seen.attrs["facts"] == {"a": 1, "shape": list(values.shape), "dtype": values.dtype.name}
    theirs = written_by_zarr(folder / "theirs", values, ours.chunk)
    for part in range(ours.chunks):
        assert (theirs / ours.part(part)).read_bytes() == (folder / "store" / ours.path / ours.part(part)).read_bytes()


def written_by_zarr(path: Path, values: np.ndarray, chunk: int) -> Path:
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.create_array(
            path, shape=values.shape, chunks=(chunk, *values.shape[1:]), dtype=values.dtype, compressors=Crc32cCodec(),
            chunk_key_encoding={"name": "v2", "separator": "."},
        )[:] = values  # fmt: skip
    return path


def test_the_store_reads_what_zarr_writes_into_it(store: Store) -> None:
    ours = store.open("kind", {}, shape=(7, 3), dtype="float32", chunk=4)
    values = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    zarr.open_array(store.backend.root / ours.path, mode="r+")[:] = values
    np.testing.assert_array_equal(ours.read_all(), values)


@settings(max_examples=100, deadline=None)
@given(values=arrays, place=st.text(max_size=4))
def test_what_is_encoded_comes_back(values: np.ndarray, place: str) -> None:
    data = encode(values, place)
    back = decode(data, values.dtype.name, values.shape, place)
    assert (back.dtype, back.shape, back.tobytes()) == (values.dtype, values.shape, values.tobytes())
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "values", [np.arange(12, dtype=">i4").reshape(3, 4), np.arange(24.0).reshape(4, 6)[::2, 1::2].T]
)
def test_order_and_bytes_of_the_machine_do_not_matter(values: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode(values), values.dtype.newbyteorder("=").str[1:], values.shape), values)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_an_array_without_values(shape: tuple[int, ...]) -> None:
    assert decode(encode(np.empty(shape, np.float32)), "float32", shape).shape == shape


@settings(max_examples=200, deadline=None)
@given(values=arrays, data=st.data())
def test_every_change_of_the_bytes_is_unsound(values: np.ndarray, data: Any) -> None:
    good = encode(values, "place")
    bad = bytearray(good)
    change = data.draw(st.sampled_from(["flip", "cut", "extend", "drop", "burst"]))
    at = data.draw(st.integers(0, len(good) - 1))
    if change == "flip":
        bad[at] ^= 1 << data.draw(st.integers(0, 7))
    elif change == "cut":
        del bad[at:]
    elif change == "extend":
        bad += data.draw(st.binary(min_size=1, max_size=9))
    elif change == "drop":
        del bad[at]
    else:
        bad[at : at + 4] = bytes(byte ^ 0x5A for byte in bad[at : at + 4])
    with pytest.raises(Unsound):
        decode(bytes(bad), values.dtype.name, values.shape, "place")


def test_any_flipped_bit_is_unsound() -> None:
    good = encode(np.arange(6, dtype=np.int32).reshape(2, 3))
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsound):
            decode(bytes(bad), "int32", (2, 3))


def test_bytes_are_sound_only_in_their_place() -> None:
    data = encode(np.arange(5), "one row")
    for place in ("", "another row", "one ro", "one row "):
        with pytest.raises(Unsound, match="checksum"):
            decode(data, "int64", (5,), place)


def test_a_document_comes_back() -> None:
    assert verify(sign(DOCUMENT)) == DOCUMENT


def test_a_document_of_which_a_bit_flips_is_unsound_or_the_same() -> None:
    good = sign(DOCUMENT)
    unsound = 0
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            assert verify(bytes(bad)) == DOCUMENT
        except Unsound:
            unsound += 1
    assert unsound > 0.8 * 8 * len(good)


def test_a_document_that_is_cut_or_longer_is_unsound() -> None:
    good = sign(DOCUMENT)
    for data in [*(good[:length] for length in range(len(good))), good + b"}", good + good, good + b"\0"]:
        with pytest.raises(Unsound):
            verify(data)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_what_was_never_signed_is_unsound(data: bytes) -> None:
    with pytest.raises(Unsound):
        verify(data)


@pytest.mark.parametrize(
    "text",
    [
        "", "[" * 100_000, '{"attributes": []}', '{"attributes": {"checksum": 5}}', '{"attributes": null}',
        '{"attributes": {"checksum": ["a"], "a": NaN}}', '["attributes"]', '"attributes"', "1" * 10_000,
    ],
    ids=str.__len__,
)  # fmt: skip
def test_odd_documents_are_unsound(text: str) -> None:
    with pytest.raises(Unsound):
        verify(text.encode())


def test_a_document_has_no_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sign({"attributes": {"seconds": math.nan}})


def test_keys_stay_what_they_are() -> None:
    """A key that changes would silently throw away every store there is."""
    assert key_of({"b": [1, 2.5, None], "a": "ε"}) == key_of({"a": "ε", "b": [1, 2.5, None]})
    assert key_of({"a": 1}) == "015abd7f5cc57a2dd94b7590"
