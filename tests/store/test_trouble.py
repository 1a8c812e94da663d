"""Errors that are not damage: they are reported as they are, and no file is moved or removed."""

import hashlib
import itertools
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

from sat_exp.store import Damaged, Store, Unwritable, inventory
from sat_exp.store.artefact import NOTES

from .helpers import TROUBLE, contents, file_of, files, fill, flip, open_array, quarantined, raising

PLACES = [
    (Path, "read_bytes"), (Path, "write_bytes"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (os, "scandir"), (os, "link"), (os, "rename"), (json, "loads"), (json, "dumps"),
    (np, "frombuffer"), (np, "concatenate"), (np, "pad"),
    (google_crc32c, "extend"), (google_crc32c, "value"), (hashlib, "sha256"),
]  # fmt: skip
ROW = np.arange(5, dtype=np.int32)


def row(store: Store) -> Any:
    return store.table("predictions", {}, columns=5, dtype="int32", name="vit").row({"target": "vit"}, "vit")


def prune_nothing(store: Store) -> None:
    inventory.remove(store, "nothing of this name")


def check_all(store: Store) -> None:
    for item in inventory.items(store):
        inventory.check(store, item.path)


WORK: dict[str, Callable[[Store], Any]] = {
    "open": lambda store: open_array(store),
    "begin": lambda store: open_array(store, {"new": 1}),
    "read": lambda store: open_array(store).read_all(),
    "write": lambda store: open_array(store, {"half": 1}).write(1, contents()[4:8]),
    "digest": lambda store: open_array(store, {"unsealed": 1}).digest,
    "sealed": lambda store: open_array(store).digest,
    "note": lambda store: open_array(store).note(seconds=1),
    "row": lambda store: row(store).read_all(),
    "rows": lambda store: row(store).table.listed(),
    "new row": lambda store: row(store).table.row({"target": "new"}, "new").write(0, ROW),
    "check": check_all,
    "items": inventory.items,
    "prune": prune_nothing,
    "lock": lambda store: store.lock("attack").__enter__(),
}


@pytest.fixture
def full(store: Store) -> dict[str, bytes]:
    """A store with a sealed array, one that is not sealed, one that is half done, and a row; all its files."""
    fill(open_array(store))
    _ = open_array(store).digest
    fill(open_array(store, {"unsealed": 1}))
    open_array(store, {"half": 1}).write(0, contents()[:4])
    row(store).write(0, ROW)
    return files(store)


def lost(store: Store, before: dict[str, bytes]) -> list[str]:
    """The files that are not as they were, but for notes, which may have been replaced by others."""
    after = files(store)
    return [name for name, data in before.items() if after.get(name) != data and not name.endswith(NOTES)]


def outcome(work: str, store: Store) -> BaseException | None:
    """What the work raises."""
    try:
        WORK[work](Store.at(store.backend.root))
    except (Unwritable, RuntimeError, MemoryError, TypeError, OSError) as error:
        return error
    return None


@contextmanager
def troubled(place: tuple[Any, str], at: int, error: BaseException) -> Iterator[list[int]]:
    """Call number `at` of a function raises `error`."""
    owner, name = place
    instead, calls = raising(getattr(owner, name), at, error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, instead)
        yield calls


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.slow) for turn in range(1, len(TROUBLE)))])
@pytest.mark.parametrize("work", WORK)
def test_trouble_at_any_point_moves_nothing(store: Store, full: dict[str, bytes], work: str, turn: int) -> None:
    """The kinds of trouble take turns over the points; a retry within a library may overcome one."""
    raised, errors = 0, itertools.islice(itertools.cycle(TROUBLE), turn, None)
    for place in PLACES:
        at = 0
        while True:
            error = next(errors)
            with troubled(place, at, error) as calls:
                seen = outcome(work, store)
            if isinstance(seen, Unwritable):
                assert "\n" not in str(seen)
                seen = seen.__cause__ if isinstance(error, OSError) else seen
            assert seen in (None, error)
            raised += seen is error
            assert lost(store, full) == []
            assert quarantined(store) == {}
            at += 1
            if len(calls) < at:
                break
    assert raised > 0
    np.testing.assert_array_equal(open_array(Store.at(store.backend.root)).read_all(), contents())
    np.testing.assert_array_equal(row(Store.at(store.backend.root)).read_all(), ROW)


@pytest.mark.parametrize("error", TROUBLE[::3], ids=repr)
@pytest.mark.parametrize("what", ["chunk", "metadata", "row"])
def test_trouble_while_damage_is_put_away_moves_only_the_damaged(
    store: Store, full: dict[str, bytes], what: str, error: BaseException
) -> None:
    array = open_array(store)
    path = {
        "chunk": file_of(array, 1),
        "metadata": store.backend.root / array.path / "zarr.json",
        "row": store.backend.root / row(store).path,
    }[what]
    name = str(path.relative_to(store.backend.root))
    work = WORK["row" if what == "row" else "read"]
    for place in PLACES:
        at = 0
        while True:
            path.write_bytes(full[name])
            flip(path, 9)
            damaged = path.read_bytes()
            before = set(quarantined(store))
            with troubled(place, at, error) as calls:
                try:
                    work(Store.at(store.backend.root))
                except (Damaged, Unwritable, type(error)):
                    pass
            assert lost(store, full | {name: damaged}) in ([], [name])
            put_away = {each: data for each, data in quarantined(store).items() if each not in before}
            assert set(put_away.values()) <= {damaged}
            assert path.exists() or put_away
            at += 1
            if len(calls) < at:
                break


def at_most(descriptors: int, work: Callable[[], Any]) -> list[str]:
    """Do the work with that many free file descriptors, or say what came of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1, hard))
    for descriptor in held[len(held) - descriptors :]:
        os.close(descriptor)
    try:
        work()
    except Unwritable as refusal:
        return str(refusal).splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held[: len(held) - descriptors]:
            os.close(descriptor)
    return []


@pytest.mark.parametrize("work", WORK)
def test_too_few_file_descriptors_are_one_line(store: Store, full: dict[str, bytes], work: str) -> None:
    """The lock's database needs some too."""
    outcomes = [at_most(free, lambda: WORK[work](Store.at(store.backend.root))) for free in range(8)]
    assert all(len(lines) <= 1 for lines in outcomes)
    assert outcomes[0], "no work is done without a descriptor"
    assert not outcomes[-1], "this work needs more than seven"
    assert lost(store, full) == []
    assert quarantined(store) == {}
