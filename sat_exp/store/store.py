"""A store of arrays, addressed by what they are made from, and shared by any number of processes.

    KIND/KEY/zarr.json     what determines the array, and its shape: written once
    KIND/KEY/3.0.0.0       a chunk of rows: written once
    KIND/KEY/seal.json     once no chunk is missing: the SHA-256 of the contents, and the checksum of every chunk
    KIND/KEY/notes.json    timings, versions, warnings: nothing that identifies the contents
    quarantine/            what was damaged, and why
    locks/                 one file for each piece of work that was ever begun since the last prune

A row table (`predictions`) has one object for each row, `ROWKEY~NAME`, in place of chunks.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sat_exp.store.arrays import StoredArray
from sat_exp.store.artefact import Artefact
from sat_exp.store.backend import Backend
from sat_exp.store.encoding import Unsound, key_of
from sat_exp.store.folder import LOCKS, Folder
from sat_exp.store.tables import StoredTable

QUARANTINE = "quarantine"
WHY = ".why"
NOT_KINDS = (QUARANTINE, LOCKS)


@dataclass(frozen=True)
class Store:
    """Arrays whose bytes lie in `backend`. opened: those that this process asked for, by kind and key."""

    backend: Backend
    opened: dict[str, Artefact] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def local(cls, folder: Path) -> "Store":
        """The store in a local folder, made where it does not exist."""
        return cls(Folder(folder))

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
        with self.in_use(), self.backend.lock(key_of({"parts": parts}), timeout):
            yield

    def in_use(self) -> AbstractContextManager[None]:
        """Keep the store from being pruned; wait while it is."""
        return self.backend.in_use()

    def alone(self) -> AbstractContextManager[None]:
        """Keep all others out of the store; UserError where anyone is at work in it."""
        return self.backend.alone()
