"""A store of arrays, addressed by what they are made from, and shared by any number of processes.

    KIND/KEY/zarr.json     what determines the array, and its shape: written once
    KIND/KEY/3.0.0.0       a chunk of rows: written once
    KIND/KEY/seal.json     once no chunk is missing: the SHA-256 of the contents, and the checksum of every chunk
    KIND/KEY/notes.json    timings, versions, warnings: nothing that identifies the contents
    quarantine/            what was damaged, and why
    locks/                 one file for each piece of work that was ever begun since the last prune

A row table (`predictions`) has one object for each row, `ROWKEY~NAME`, in place of chunks.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, ReadWriteLock, Timeout

from sat_exp.errors import UserError
from sat_exp.store.arrays import StoredArray
from sat_exp.store.artefact import Artefact
from sat_exp.store.backend import Backend, Folder, Unwritable, remedy
from sat_exp.store.encoding import Unsound, key_of
from sat_exp.store.tables import StoredTable

QUARANTINE = "quarantine"
LOCKS = "locks"
GATE, LOCK, WHY = "store.db", ".lock", ".why"
NOT_KINDS = (QUARANTINE, LOCKS)


@dataclass(frozen=True)
class Store:
    """Arrays below a local folder. opened: those that this process asked for, by kind and key."""

    folder: Path
    opened: dict[str, Artefact] = field(default_factory=dict, compare=False, repr=False)

    @property
    def backend(self) -> Backend:
        return Folder(self.folder)

    def open(
        self, kind: str, facts: Mapping[str, Any], *, shape: tuple[int, ...], dtype: str, chunk: int, **notes: Any
    ) -> StoredArray:
        """The array that `facts`, its shape and its dtype determine, begun empty where it does not exist.

        Its chunks are of other than `chunk` rows where it was begun with others. Damaged metadata are named in a
        warning, moved to the quarantine and written again; no chunk is lost with them.
        """
        whole = {**facts, "shape": list(shape), "dtype": dtype}
        array = StoredArray.open(self, f"{kind}/{key_of(whole)}", whole, shape, dtype, chunk, notes)
        self.opened[array.path] = array
        return array

    def table(self, kind: str, facts: Mapping[str, Any], *, columns: int, dtype: str, **notes: Any) -> StoredTable:
        """The table that `facts`, its number of columns and its dtype determine: rows that come one by one."""
        whole = {**facts, "columns": columns, "dtype": dtype}
        path = f"{kind}/{key_of(whole)}"
        table = self.opened.get(path)
        if not isinstance(table, StoredTable):
            table = StoredTable.open(self, path, whole, columns, dtype, notes)
            self.opened[path] = table
        return table

    def arrays(self) -> list[StoredArray]:
        """Those arrays that this process opened."""
        return [artefact for artefact in self.opened.values() if isinstance(artefact, StoredArray)]

    def manifest(self) -> pd.DataFrame:
        """What `opened` holds: kind, name, key, sha256 of the contents where sealed, rows, chunks, bytes of values."""
        columns = ["kind", "name", "key", "sha256", "rows", "chunks", "bytes"]
        rows = [artefact.described() for artefact in self.opened.values()]
        return pd.DataFrame(rows, columns=columns).sort_values(["kind", "name", "key"], ignore_index=True)

    def quarantine(self, name: str, check: Callable[[bytes], Any]) -> str | None:
        """Move the object `name` away where `check` finds it unsound, and give the reason; None where it is sound.

        It is read again: another process may have replaced it since, and what is sound is not moved.
        """
        with self.lock(QUARANTINE):
            data = self.backend.read(name)
            try:
                if data is not None:
                    check(data)
                return None
            except Unsound as error:
                reason = f"{self.backend.locate(name)} is damaged ({error})"
            place = f"{QUARANTINE}/{name}.{time.time_ns()}"
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n"
            self.backend.create(f"{place}{WHY}", line.encode())
            self.backend.move(name, place)
        return reason

    @contextmanager
    def lock(self, *parts: str, timeout: float = -1) -> Iterator[None]:
        """Hold the lock of one piece of work; the operating system frees it when its holder dies.

        Raises filelock's Timeout where another process holds it for longer than `timeout` seconds; waits where
        negative.
        """
        with self.in_use():
            lock = FileLock(self.folder / LOCKS / f"{key_of({'parts': parts})}{LOCK}", is_singleton=True)
            with ExitStack() as held:
                with refusals(lock.lock_file):
                    held.enter_context(lock.acquire(timeout=timeout))
                yield

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the store from being pruned; wait while it is."""
        with ExitStack() as held:
            with refusals(self.folder / LOCKS / GATE):
                held.enter_context(self.gate().read_lock())
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all others out of the store; UserError where anyone is at work in it."""
        with ExitStack() as held:
            try:
                with refusals(self.folder / LOCKS / GATE):
                    held.enter_context(self.gate().write_lock(timeout=0))
            except Timeout as error:
                raise UserError(f"another process is at work in {self.folder}: prune when it has ended") from error
            yield

    def gate(self) -> ReadWriteLock:
        folder = self.folder / LOCKS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror}; give output_dir=FOLDER") from error
        if not os.access(folder, os.W_OK):
            raise Unwritable(f"cannot write to {folder}; give output_dir=FOLDER")
        return ReadWriteLock(folder / GATE)


@contextmanager
def refusals(path: str | Path) -> Iterator[None]:
    """Turn what keeps the lock at `path` from being opened into one line; that others hold it is a Timeout."""
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        raise Unwritable(f"cannot lock {path}: {error.strerror}; {remedy(error)}") from error
    except sqlite3.Error as error:
        raise Unwritable(f"cannot lock {path}: {error}; run the same command again when that is mended") from error
