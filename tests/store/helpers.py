"""Helpers for the tests of the store: small arrays, damage, and all files of a store."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from sat_exp.store import Damaged, Store, StoredArray
from sat_exp.store.folder import LOCKS
from sat_exp.store.store import QUARANTINE, WHY
from sat_exp.tasks import store as task

FACTS = {"images": "ab", "numbers": {"epsilon": 8, "step_size": 1.5}}
ROWS, CHUNK = 10, 4
TROUBLE = [
    RuntimeError("can't start new thread"),
    MemoryError(),
    TypeError("unhashable"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
]
"""Errors that say nothing of what is stored."""


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


def folder_of(store: Store, path: str) -> Path:
    return store.backend.root / path


def file_of(array: StoredArray, chunk: int) -> Path:
    return array.store.backend.root / array.path / array.part(chunk)


def flip(path: Path, position: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= bit
    path.write_bytes(data)


def swap(one: Path, other: Path) -> None:
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


def files(store: Store) -> dict[str, bytes]:
    """Every file of a store but its locks: whoever closes the file of a lock frees it."""
    return {
        str(path.relative_to(store.backend.root)): path.read_bytes()
        for folder in store.backend.root.iterdir()
        if folder.name != LOCKS
        for path in folder.rglob("*")
        if path.is_file()
    }


def quarantined(store: Store) -> dict[str, bytes]:
    """What is in the quarantine, without the lines that say why."""
    return {name: data for name, data in files(store).items() if name.startswith(QUARANTINE) and WHY not in name}


def raising(function: Callable[..., Any], at: int, error: BaseException) -> tuple[Callable[..., Any], list[int]]:
    """`function`, but its call number `at`, counted from 0, raises `error`; a list that grows with every call."""
    calls: list[int] = []

    def instead(*arguments: Any, **options: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == at + 1:
            raise error
        return function(*arguments, **options)

    return instead, calls


def run(store: Store, *, kind: str | None = None, verify: bool = False, prune: str | None = None) -> None:
    """Run task=store."""
    config = OmegaConf.create({"store": store.backend.locate("")})
    task.run(config, name="store", kind=kind, verify=verify, prune=prune)


def read(array: StoredArray) -> tuple[dict[int, np.ndarray], list[int]]:
    """Each chunk that can be read, and those that were damaged."""
    found, damaged = {}, []
    for chunk in range(array.chunks):
        try:
            found[chunk] = array.read(chunk)
        except Damaged:
            damaged.append(chunk)
    return found, damaged
