"""One bit is flipped in each kind of file of a store: a reader gets the same numbers, or the file is named, moved to
the quarantine and computed again to the same numbers.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.errors import UserError
from sat_exp.store import Damaged, Store, StoredRow, inventory
from sat_exp.store.folder import GATE, LOCKS

from ..flipping import flips
from .helpers import files, quarantined

FLIPS = 1500
FEW = 40
COUNTS = [pytest.param(FEW, id="few"), pytest.param(FLIPS, id="all", marks=pytest.mark.faults)]

ARRAYS: dict[str, tuple[tuple[int, ...], str]] = {
    "images": ((9, 3, 6, 6), "uint8"),
    "adversarial": ((7, 3, 6, 6), "uint8"),
    "logits": ((9, 20), "float32"),
    "ensembles": ((40, 12), "int32"),
}
COLUMNS = 60


@dataclass
class Work:
    """What a run does in a store: it computes what is missing, and reads all."""

    folder: Path
    computed: list[str] = field(default_factory=list)

    def values(self, kind: str) -> np.ndarray:
        shape, dtype = ARRAYS.get(kind, ((COLUMNS,), "int32"))
        return np.random.default_rng(len(kind)).integers(0, 200, shape).astype(dtype)

    def array(self, store: Store, kind: str) -> Any:
        shape, dtype = ARRAYS[kind]
        return store.open(
            kind,
            {"of": kind, "numbers": [1, 2.5]},
            shape=shape,
            dtype=dtype,
            chunk=4,
            name=f"{kind} of some model. " * 8,
        )

    def row(self, store: Store) -> StoredRow:
        table = store.table("predictions", {"of": "some"}, columns=COLUMNS, dtype="int32", name="some " * 40)
        return table.row({"target": "vit"}, "vit")

    def complete(self, target: Any, kind: str) -> np.ndarray:
        """As a run: a file that is damaged is computed again, once it was found to be."""
        for _ in range(4):
            try:
                for chunk in target.missing():
                    self.computed.append(kind)
                    target.write(chunk, self.values(kind)[target.span(chunk)])
                return target.read_all()
            except Damaged:
                continue
        raise AssertionError(f"{kind} is damaged again and again")

    def once(self) -> dict[str, list[Any]]:
        """All numbers, read from a store that was just opened."""
        store, found = Store.at(self.folder), {}
        for kind in ARRAYS:
            array = self.array(store, kind)
            found[kind] = self.complete(array, kind).tolist()
            found[f"{kind} digest"] = [array.digest]
        found["predictions"] = self.complete(self.row(store), "predictions").tolist()
        return found

    def checked(self) -> list[str]:
        """What a check of the whole store finds."""
        store = Store.at(self.folder)
        return [
            line for path in {item.path for item in inventory.items(store)} for line in inventory.check(store, path)
        ]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "store")
    work.once()
    return work


def kinds(folder: Path) -> dict[str, Path]:
    """A file of each kind of object, by what it is."""
    found = {}
    for path in sorted(folder.glob("*/*/*")):
        kind = path.parts[-3]
        if kind not in (LOCKS, "quarantine"):
            name = path.name if path.suffix == ".json" else "row" if "~" in path.name else "chunk"
            found[f"{kind}/{name}"] = path
    return found


KINDS = [
    f"{kind}/{name}" for kind in ARRAYS for name in ("chunk", "zarr.json", "notes.json", "seal.json")
] + ["predictions/row", "predictions/zarr.json", "predictions/notes.json"]  # fmt: skip


def mended(work: Work, sound: dict[str, bytes]) -> None:
    """The files of the store as they were."""
    for name in files(Store.at(work.folder)).keys() - sound.keys():
        (work.folder / name).unlink()
    for name, content in sound.items():
        if not (work.folder / name).exists() or (work.folder / name).read_bytes() != content:
            (work.folder / name).write_bytes(content)


def test_every_kind_of_file_is_tried(work):
    assert set(KINDS) == set(kinds(work.folder))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_found_and_computed_again(work, caplog, record_property, kind, count):
    caplog.set_level(logging.WARNING)
    path, sound = kinds(work.folder)[kind], files(Store.at(work.folder))
    numbers, found = work.once(), Counter[str]()
    for changed in flips(path.read_bytes(), count, kind):
        caplog.clear()
        path.write_bytes(changed)
        work.computed.clear()
        assert work.once() == numbers
        moved = quarantined(Store.at(work.folder))
        if moved:
            assert list(moved.values()) == [changed]
            assert set(work.computed) <= {kind.partition("/")[0]}
            again = "computed" if work.computed else "written"
            found[f"in quarantine, named, {again} again"] += 1
            assert work.computed or str(path) in caplog.text
        else:
            found["the same"] += 1
            assert path.read_bytes() == changed
        assert work.checked() == []
        mended(work, sound)
    record_property("outcomes", dict(found))
    print(f"{kind}: {dict(found)}")
    assert not found["the same"]


@pytest.mark.parametrize("count", [pytest.param(FEW // 4, id="few"), *COUNTS[1:]])
@pytest.mark.parametrize("kind", KINDS)
def test_a_check_of_the_store_names_a_flipped_bit(work, record_property, kind, count):
    path, sound = kinds(work.folder)[kind], files(Store.at(work.folder))
    for changed in flips(path.read_bytes(), count, f"check {kind}"):
        path.write_bytes(changed)
        named = work.checked()
        assert [str(path) in line for line in named] == [True], named
        assert list(quarantined(Store.at(work.folder)).values()) == [changed]
        assert all(line == f"{path} is gone" for line in work.checked())
        mended(work, sound)


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_in_the_files_of_locks_changes_no_number(work, record_property, count):
    """They are empty, so that no bit can flip: other bytes in one of them change nothing, or one line names it."""
    locks, numbers, found = sorted((work.folder / LOCKS).iterdir()), work.once(), Counter[str]()
    assert work.folder / LOCKS / GATE in locks
    assert all(path.read_bytes() == b"" for path in locks)
    rng = np.random.default_rng(0)
    for trial in range(count):
        path = locks[trial % len(locks)] if trial % 2 else work.folder / LOCKS / GATE
        path.write_bytes(rng.bytes(int(rng.integers(1, 5000))))
        try:
            assert work.once() == numbers
            found["the same"] += 1
        except UserError as error:
            told = str(error)
            found["one line" if told.isprintable() and str(path) in told else told] += 1
        path.write_bytes(b"")
        assert quarantined(Store.at(work.folder)) == {}
    record_property("outcomes", dict(found))
    print(f"locks: {dict(found)}")
    assert set(found) <= {"the same", "one line"}
