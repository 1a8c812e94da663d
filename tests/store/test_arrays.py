"""Stored arrays: what was written is read again; anything else is detected and moved to the quarantine."""

import hashlib
import os
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.store import Damaged, Store
from sat_exp.store.encoding import encode

from .helpers import FACTS, contents, file_of, fill, flip, open_array, quarantined, swap


def digest_of(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def test_what_is_written_comes_back_from_a_new_handle(store: Store) -> None:
    values = fill(open_array(store))
    for again in (store, Store.at(store.backend.root)):
        array = open_array(again)
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
    array = open_array(Store.at(tmp_path_factory.mktemp("gather")), rows=rows, chunk=chunk)
    values = fill(array)
    chosen = sorted(pick for pick in picks if pick < rows)
    np.testing.assert_array_equal(array.gather(chosen), values[chosen])


def test_an_array_of_no_rows_is_complete(store: Store) -> None:
    array = open_array(store, rows=0)
    assert array.missing() == []
    assert array.read_all().shape == (0, 3, 5, 5)
    assert array.digest == digest_of(contents(0))
    assert open_array(store, rows=0).damaged() == []


def test_a_chunk_is_written_once(store: Store) -> None:
    array = open_array(store)
    values = fill(array)
    open_array(Store.at(store.backend.root)).write(0, 255 - values[:4])
    np.testing.assert_array_equal(open_array(store).read_all(), values)


@pytest.mark.parametrize("rows", [0, 3, 5])
def test_a_chunk_of_the_wrong_shape_is_refused(store: Store, rows: int) -> None:
    with pytest.raises(ValueError, match="for chunk 0"):
        open_array(store).write(0, contents()[:rows])
    assert open_array(store).missing() == [0, 1, 2]


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
    paths = {open_array(store, facts).path for facts in others} | {open_array(store, rows=11).path}
    assert len(paths) == len(others) + 1


def test_the_chunk_size_of_an_array_begun_is_kept(store: Store) -> None:
    open_array(store, chunk=4)
    assert open_array(store, chunk=7).chunk == 4


def test_notes_are_added_and_kept(store: Store) -> None:
    array = open_array(store)
    array.note(seconds=1.5)
    array.note(mean_l2=2.0, seconds=3.0)
    assert open_array(store).notes == {"name": "some", "seconds": 3.0, "mean_l2": 2.0}


def test_versions_that_differ_are_told(store: Store) -> None:
    array = open_array(store)
    for torch in ("2.12.0", "2.13.0", "2.12.0"):
        array.note_versions({"torch": torch, "timm": "1.0"})
    assert open_array(store).mixed_versions() == ["torch 2.12.0 and 2.13.0"]


def test_the_digest_is_that_of_the_rows(store: Store) -> None:
    values = fill(open_array(store))
    assert open_array(store, chunk=3).digest == digest_of(values)
    other = Store.at(store.backend.root / "other")
    fill(open_array(other, chunk=3))
    assert open_array(other).digest == digest_of(values)


def test_what_is_not_complete_has_no_digest(store: Store) -> None:
    array = open_array(store)
    array.write(0, contents()[:4])
    with pytest.raises(Damaged, match="is gone"):
        _ = array.digest
    fill(array)
    assert array.digest == digest_of(contents())


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("chunk", range(3))
@pytest.mark.parametrize("place", [0.0, 0.3, 0.99])
def test_a_flipped_bit_is_noticed_kept_apart_and_written_again(
    store: Store, chunk: int, place: float, sealed: bool
) -> None:
    array = open_array(store)
    values = fill(array)
    before = {n: file_of(array, n).read_bytes() for n in range(array.chunks)}
    if sealed:
        assert array.digest == digest_of(values)
    file = file_of(array, chunk)
    flip(file, int(place * file.stat().st_size))
    damaged = file.read_bytes()
    with pytest.raises(Damaged, match=f"{file} is damaged"):
        array.read_all()
    assert damaged in quarantined(store).values()
    assert array.missing() == [chunk]
    fill(array)
    np.testing.assert_array_equal(array.read_all(), values)
    assert {n: file_of(array, n).read_bytes() for n in range(array.chunks)} == before
    assert array.digest == digest_of(values)


def test_a_quarantined_file_has_a_line_that_says_why(store: Store) -> None:
    array = open_array(store)
    fill(array)
    flip(file_of(array, 0), 5)
    with pytest.raises(Damaged):
        array.read(0)
    (name,) = quarantined(store)
    line = (store.backend.root / f"{name}.why").read_text()
    assert line.endswith(f" {file_of(array, 0)} is damaged (its checksum fails)\n")
    assert line.count("\n") == 1
    assert name.startswith(f"quarantine/{array.path}/{array.part(0)}.")


def test_all_damaged_files_are_named_at_once(store: Store) -> None:
    array = open_array(store)
    fill(array)
    flip(file_of(array, 0), 5)
    flip(file_of(array, 2), 5)
    found = array.damaged()
    assert [str(file_of(array, chunk)) in reason for chunk, reason in zip((0, 2), found, strict=True)] == [True, True]
    assert array.missing() == [0, 2]
    assert array.damaged() == []


@pytest.mark.parametrize("left", [0, 3, 40, -1])
def test_a_truncated_file_is_damaged(store: Store, left: int) -> None:
    array = open_array(store)
    fill(array)
    file_of(array, 1).write_bytes(file_of(array, 1).read_bytes()[:left])
    with pytest.raises(Damaged, match=r"is damaged \(\d+ bytes instead of 304\)"):
        array.read(1)
    assert array.missing() == [1]


def test_a_longer_file_is_damaged(store: Store) -> None:
    array = open_array(store)
    fill(array)
    file_of(array, 1).write_bytes(file_of(array, 1).read_bytes() + b"\0")
    with pytest.raises(Damaged, match="305 bytes instead of 304"):
        array.read(1)


def test_a_chunk_that_is_gone_is_not_zeros(store: Store) -> None:
    array = open_array(store)
    fill(array)
    file_of(array, 0).unlink()
    with pytest.raises(Damaged, match="is gone"):
        array.read(0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("kept", [False, True], ids=["new handle", "same handle"])
def test_chunks_of_a_sealed_array_that_changed_places_are_all_noticed(
    store: Store, order: tuple[int, ...], kept: bool
) -> None:
    """Each fits its own checksum: it is the seal that tells, and it tells of every one."""
    values = contents(12)
    array = open_array(store, rows=12)
    fill(array)
    assert array.digest == digest_of(values)
    swap(file_of(array, 0), file_of(array, 1))
    array = array if kept else open_array(Store.at(store.backend.root), rows=12)
    for chunk in order:
        try:
            np.testing.assert_array_equal(array.read(chunk), values[array.span(chunk)])
        except Damaged:
            assert chunk in (0, 1)
    assert array.missing() == [0, 1]
    fill(array)
    np.testing.assert_array_equal(array.read_all(), values)
    assert array.digest == digest_of(values)


def test_a_chunk_of_another_array_is_noticed_once_sealed(store: Store) -> None:
    array, other = open_array(store), open_array(store, {"other": 1})
    fill(array)
    for chunk in range(3):
        other.write(chunk, 255 - contents()[other.span(chunk)])
    assert array.digest != other.digest
    file_of(array, 0).write_bytes(file_of(other, 0).read_bytes())
    with pytest.raises(Damaged, match="sealed"):
        open_array(Store.at(store.backend.root)).read(0)


def test_chunks_computed_again_may_have_other_bits(store: Store) -> None:
    """As on another device: the old seal does not condemn them, whoever removed the chunk."""
    array = open_array(store)
    fill(array)
    old = array.digest
    file_of(array, 1).unlink()
    values = contents()
    values[4:8] += 1
    again = open_array(Store.at(store.backend.root))
    again.write(1, values[4:8])
    np.testing.assert_array_equal(again.read_all(), values)
    assert again.digest == digest_of(values) != old
    np.testing.assert_array_equal(open_array(Store.at(store.backend.root)).read_all(), values)


def test_the_manifest_says_what_was_opened(store: Store) -> None:
    sealed, begun = open_array(store), open_array(store, {"other": 1})
    fill(sealed)
    digest = sealed.digest
    row = store.table("predictions", {}, columns=5, dtype="int32", name="vit PGD").row({"target": 1}, "resnet")
    row.write(0, np.arange(5))
    manifest = store.manifest().set_index("key")
    assert manifest.loc[sealed.key].to_dict() == {
        "kind": "adversarial", "name": "some", "sha256": digest, "rows": 10, "chunks": 3, "bytes": 750,
    }  # fmt: skip
    assert pd.isna(manifest.loc[begun.key, "sha256"])
    assert manifest.loc[row.table.key, ["rows", "chunks", "bytes"]].tolist() == [5, 1, 20]


def test_one_key_never_stands_for_two_things(store: Store) -> None:
    array, other = open_array(store), open_array(store, {"other": 1})
    (store.backend.root / array.path / "zarr.json").write_bytes(
        (store.backend.root / other.path / "zarr.json").read_bytes()
    )
    with pytest.raises(RuntimeError, match="two artefacts share one key"):
        open_array(Store.at(store.backend.root))


def test_chunks_are_apart_whoever_wrote_them(store: Store) -> None:
    """A file of a table's form is no chunk of an array."""
    array = open_array(store)
    fill(array)
    file_of(array, 0).write_bytes(encode(contents()[:4], "a place"))
    with pytest.raises(Damaged, match="checksum"):
        array.read(0)
    assert os.listdir(store.backend.root / "quarantine") == ["adversarial"]  # noqa: PTH208
