"""Metadata, notes and seals of stored arrays that are damaged, and what another process has mended meanwhile."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.store import Damaged, Store

from .helpers import file_of, files, fill, flip, open_array, quarantined, read

METADATA_DAMAGE = {
    "flipped": lambda file: flip(file, 40),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:60]),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "other": lambda file: file.write_bytes(b"\0" * 700),
}


@pytest.mark.parametrize("how", METADATA_DAMAGE)
@pytest.mark.parametrize("chunk", [4, 9, 10])
def test_damaged_metadata_lose_no_chunk(store: Store, how: str, chunk: int, caplog: pytest.LogCaptureFixture) -> None:
    array = open_array(store, chunk=chunk)
    values = fill(array)
    digest = array.digest
    before = files(store)
    metadata = store.backend.root / array.path / "zarr.json"
    METADATA_DAMAGE[how](metadata)
    damaged = metadata.read_bytes() if metadata.exists() else None
    with caplog.at_level(logging.WARNING):
        again = open_array(Store.at(store.backend.root), chunk=3)
    assert again.chunk == chunk
    assert again.missing() == []
    np.testing.assert_array_equal(again.read_all(), values)
    assert again.digest == digest
    after = files(store)
    assert {name: after.get(name) for name in before} == before
    assert list(quarantined(store).values()) == ([] if damaged is None else [damaged])
    assert (f"{metadata} is damaged" in caplog.text) == (damaged is not None)


def test_a_chunk_that_is_cut_does_not_decide_how_large_chunks_are(store: Store) -> None:
    """Of three chunks two are cut to the same number of rows, and the metadata are gone."""
    array = open_array(store)
    values = fill(array)
    for chunk in (0, 1):
        file = file_of(array, chunk)
        file.write_bytes(file.read_bytes()[: 75 * 2 + 4])
    sound = file_of(array, 2).read_bytes()
    (store.backend.root / array.path / "zarr.json").unlink()
    again = open_array(Store.at(store.backend.root))
    assert read(again)[1] == [0, 1]
    assert file_of(array, 2).read_bytes() == sound
    fill(again)
    np.testing.assert_array_equal(again.read_all(), values)


def test_metadata_gone_and_no_sound_chunk_left(store: Store) -> None:
    """The seal of chunks that are gone does not hinder chunks of another size."""
    array = open_array(store, chunk=2)
    digest = fill(array) is not None and array.digest
    for chunk in range(array.chunks):
        file_of(array, chunk).unlink()
    (store.backend.root / array.path / "zarr.json").unlink()
    again = open_array(Store.at(store.backend.root), chunk=5)
    assert again.missing() == list(range(again.chunks))
    values = fill(again)
    np.testing.assert_array_equal(again.read_all(), values)
    assert again.digest == digest


def test_a_flip_of_any_byte_of_the_metadata_loses_nothing(store: Store) -> None:
    array = open_array(store)
    values = fill(array)
    metadata = store.backend.root / array.path / "zarr.json"
    good, chunks = metadata.read_bytes(), {n: file_of(array, n).read_bytes() for n in range(3)}
    for position in range(0, len(good), 7):
        flip(metadata, position, 1 << position % 8)
        again = open_array(Store.at(store.backend.root), chunk=3)
        np.testing.assert_array_equal(again.read_all(), values)
        assert {n: file_of(array, n).read_bytes() for n in range(3)} == chunks
        metadata.write_bytes(good)
    assert len(quarantined(store)) > len(good) / 7 * 0.8


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "other"])
def test_damaged_notes_are_only_notes(store: Store, how: str, caplog: pytest.LogCaptureFixture) -> None:
    array = open_array(store)
    values = fill(array)
    digest, before = array.digest, files(store)
    file = store.backend.root / array.path / "notes.json"
    METADATA_DAMAGE[how](file)
    damaged = file.read_bytes()
    again = open_array(Store.at(store.backend.root))
    with caplog.at_level(logging.WARNING):
        again.note(seconds=1)
    assert f"{file} is damaged" in caplog.text
    assert {"name": "some"} | again.notes == {"name": "some", "seconds": 1}
    np.testing.assert_array_equal(again.read_all(), values)
    assert again.digest == digest
    assert list(quarantined(store).values()) == [damaged]
    after = files(store)
    assert all(after[name] == data for name, data in before.items() if not name.endswith("notes.json"))


@pytest.mark.parametrize("how", METADATA_DAMAGE)
def test_a_damaged_seal_is_written_again(store: Store, how: str, caplog: pytest.LogCaptureFixture) -> None:
    array = open_array(store)
    values = fill(array)
    digest, before = array.digest, files(store)
    METADATA_DAMAGE[how](store.backend.root / array.path / "seal.json")
    with caplog.at_level(logging.WARNING):
        again = open_array(Store.at(store.backend.root))
    np.testing.assert_array_equal(again.read_all(), values)
    assert again.digest == digest
    after = files(store)
    assert {name: after.get(name) for name in before} == before
    assert ("seal.json is damaged" in caplog.text) == (how != "gone")


def test_a_chunk_mended_meanwhile_is_not_moved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process finds the same damage, and has written the chunk again before this one moves it."""
    array = open_array(store)
    values = fill(array)
    _ = array.digest
    flip(file_of(array, 0), 7)
    damaged = file_of(array, 0).read_bytes()
    other = open_array(Store.at(store.backend.root))
    quarantine = Store.quarantine

    def late(self: Store, *arguments: Any) -> str | None:
        monkeypatch.setattr(Store, "quarantine", quarantine)
        with pytest.raises(Damaged):
            other.read(0)
        other.write(0, values[:4])
        return quarantine(self, *arguments)

    monkeypatch.setattr(Store, "quarantine", late)
    np.testing.assert_array_equal(array.read(0), values[:4])
    np.testing.assert_array_equal(other.read_all(), values)
    chunks = [data for name, data in quarantined(store).items() if "json" not in name]
    assert chunks == [damaged]


def test_metadata_mended_meanwhile_are_not_moved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    array = open_array(store)
    values = fill(array)
    flip(store.backend.root / array.path / "zarr.json", 7)
    quarantine = Store.quarantine

    def late(self: Store, *arguments: Any) -> str | None:
        monkeypatch.setattr(Store, "quarantine", quarantine)
        open_array(Store.at(store.backend.root))
        return quarantine(self, *arguments)

    monkeypatch.setattr(Store, "quarantine", late)
    np.testing.assert_array_equal(open_array(Store.at(store.backend.root)).read_all(), values)
    assert len(quarantined(store)) == 1


def test_one_bad_read_is_not_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored decides, not what a faulty cable made of it once."""
    array = open_array(store)
    values = fill(array)
    good, read_bytes = files(store), Path.read_bytes

    def once(path: Path) -> bytes:
        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        return read_bytes(path)[:-1] + b"?"

    monkeypatch.setattr(Path, "read_bytes", once)
    np.testing.assert_array_equal(array.read(0), values[:4])
    assert files(store) == good
