"""What a store holds: to list, to check and to remove."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sat_exp.errors import UserError
from sat_exp.store.arrays import Damaged, Store, open_sound

LEFT_OVER_SECONDS = 60  # no write takes so long: a partial file older than this has lost its writer


@dataclass(frozen=True)
class Artefact:
    """A stored array: `done` of its `rows` rows are there, in files of `size` bytes, the last written at `modified`.

    damage: why its metadata cannot be read, where they cannot.
    """

    path: Path
    name: str
    facts: dict[str, Any]
    done: int
    rows: int
    size: int
    modified: float
    damage: str | None = None

    @property
    def kind(self) -> str:
        return self.path.parent.name

    @property
    def key(self) -> str:
        return self.path.name

    def fits(self, pattern: str) -> bool:
        """Whether `pattern` is its kind, or its name, as a glob."""
        return fnmatchcase(self.kind, pattern) or fnmatchcase(self.name, pattern)


def artefacts(store: Store) -> list[Artefact]:
    """Everything in the store, by kind and name."""
    found = [describe(path.parent) for path in store.folder.glob("*/*/zarr.json")]
    return sorted(found, key=lambda artefact: (artefact.kind, artefact.name, artefact.key))


def describe(path: Path) -> Artefact:
    files = [file.stat() for file in path.rglob("*") if file.is_file()]
    size, modified = sum(file.st_size for file in files), max((file.st_mtime for file in files), default=0.0)
    try:
        array = open_sound(path)
    except Damaged as damage:
        return Artefact(path, "?", {}, 0, 0, size, modified, str(damage))
    missing = sum(array.length(chunk) for chunk in array.missing())
    facts = array.metadata["attributes"]["facts"]
    name = str(array.notes.get("name", "?"))
    return Artefact(path, name, facts, array.rows - missing, array.rows, size, modified)


def check(artefact: Artefact) -> list[str]:
    """Read every byte of an artefact against its checksums; what was damaged and has been removed."""
    if artefact.damage is not None:
        shutil.rmtree(artefact.path)
        return [artefact.damage]
    return open_sound(artefact.path).damaged()


def unusable(found: Sequence[Artefact]) -> list[Artefact]:
    """Predictions on adversarial images that are not among `found`."""
    keys = {artefact.key for artefact in found if artefact.kind == "adversarial"}
    return [
        artefact
        for artefact in found
        if artefact.kind == "predictions" and artefact.facts.get("adversarial") not in keys
    ]


def left_over(store: Store) -> list[Path]:
    """Files of writers that died while they wrote."""
    before = time.time() - LEFT_OVER_SECONDS
    return [path for path in store.folder.rglob("*.partial") if path.stat().st_mtime < before]


def remove(store: Store, pattern: str) -> tuple[list[Artefact], int]:
    """Remove what fits `pattern` and what cannot be used any more; what was removed and how many bytes that freed."""
    with everything_locked(store):
        found = artefacts(store)
        chosen = [artefact for artefact in found if artefact.fits(pattern)]
        chosen += unusable([artefact for artefact in found if artefact not in chosen])
        partial = [path for path in left_over(store) if not any(path.is_relative_to(gone.path) for gone in chosen)]
        freed = sum(artefact.size for artefact in chosen) + sum(path.stat().st_size for path in partial)
        for path in partial:
            path.unlink(missing_ok=True)
        for artefact in chosen:
            (artefact.path / "zarr.json").unlink(missing_ok=True)
            shutil.rmtree(artefact.path)
    return chosen, freed


@contextmanager
def everything_locked(store: Store) -> Iterator[None]:
    """Hold the lock of every piece of work ever begun in the store; UserError where another process holds one."""
    with ExitStack() as held:
        try:
            for path in sorted((store.folder / "locks").glob("*.lock")):
                held.enter_context(FileLock(path, timeout=0))
        except Timeout as error:
            raise UserError(f"another process is at work in {store.folder}: prune when it has ended") from error
        yield


def numbers(facts: dict[str, Any]) -> str:
    """The numbers of an attack, such as "epsilon 8, steps 50"."""
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in facts.get("numbers", {}).items())
