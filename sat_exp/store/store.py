"""A store of arrays, each under a key of everything that determines it, shared by any number of processes.

    KIND/KEY/zarr.json     the facts that determine the array, and its shape; written once
    KIND/KEY/3.0.0.0       a chunk of rows; written once
    KIND/KEY/seal.json     the SHA-256 of the contents and the checksum of every chunk; written when no chunk is missing
    KIND/KEY/notes.json    timings, versions, warnings: nothing that identifies the contents
    quarantine/            damaged files, each with the reason
    locks/                 one file per piece of work begun since the last prune

A row table (`predictions`) has one object per row, `ROWKEY~NAME`, instead of chunks.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from sat_exp.files import is_url
from sat_exp.store.arrays import StoredArray
from sat_exp.store.artefact import Artefact
from sat_exp.store.encoding import Unsound, key_of
from sat_exp.store.folder import LOCKS, Folder
from sat_exp.store.objects import Objects
from sat_exp.store.storage import Storage
from sat_exp.store.tables import StoredTable

QUARANTINE = "quarantine"
WHY = ".why"
NOT_KINDS = (QUARANTINE, LOCKS)


@dataclass(frozen=True)
class Store:
    """Arrays and tables in the storage `backend`. opened: those that this process opened, by KIND/KEY."""

    backend: Storage
    opened: dict[str, Artefact] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.backend,)

    @classmethod
    def at(cls, place: str | PathLike[str]) -> "Store":
        """The store in a local folder, which is made where needed, or at a URL such as s3://bucket/study."""
        return cls(Objects(place) if isinstance(place, str) and is_url(place) else Folder(Path(place)))

    def open(
        self, kind: str, facts: Mapping[str, Any], *, shape: tuple[int, ...], dtype: str, chunk: int, **notes: Any
    ) -> StoredArray:
        """The array whose key `facts`, shape and dtype determine; a new, empty one where it does not exist. An existing
        array keeps its number of rows per chunk, whatever `chunk` is. Damaged metadata are named in a warning, moved to
        the quarantine and written again; its chunks are kept."""
        whole = {**facts, "shape": list(shape), "dtype": dtype}
        array = StoredArray(self, f"{kind}/{key_of(whole)}", whole, shape, dtype, max(1, min(chunk, shape[0])))
        array.begin(notes)
        self.opened[array.path] = array
        return array

    def table(self, kind: str, facts: Mapping[str, Any], *, columns: int, dtype: str, **notes: Any) -> StoredTable:
        """The table whose key `facts`, its number of columns and its dtype determine; a new one where needed."""
        whole = {**facts, "columns": columns, "dtype": dtype}
        path = f"{kind}/{key_of(whole)}"
        table = self.opened.get(path)
        if not isinstance(table, StoredTable):
            table = StoredTable(self, path, whole, columns, dtype)
            table.begin(notes)
            self.opened[path] = table
        return table

    def adopt(self, array: StoredArray) -> StoredArray:
        """The array of another process as one that this process opened."""
        array.store = self
        self.opened[array.path] = array
        return array

    def arrays(self) -> list[StoredArray]:
        """The arrays that this process opened."""
        return [artefact for artefact in self.opened.values() if isinstance(artefact, StoredArray)]

    def manifest(self) -> pd.DataFrame:
        """The table `store`: one row per opened artefact."""
        columns = ["kind", "name", "key", "sha256", "rows", "chunks", "bytes"]
        rows = [(each.kind, each.notes.get("name", ""), each.key, *each.extent()) for each in self.opened.values()]
        return pd.DataFrame(rows, columns=columns).sort_values(["kind", "name", "key"], ignore_index=True)

    def quarantine(self, name: str, check: Callable[[bytes], Any]) -> str | None:
        """Move an object to the quarantine if `check` raises Unsound for it, and return the reason; else None. The
        object is read again first, because another process may have replaced it with a sound one."""
        with self.lock(QUARANTINE):
            data = self.backend.read(name)
            if data is None:
                return None
            try:
                check(data)
                return None
            except Unsound as error:
                reason = f"{self.backend.locate(name)} is damaged ({error})"
            place = f"{QUARANTINE}/{name}.{time.time_ns()}"
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n"
            self.backend.create(f"{place}{WHY}", line.encode())
            self.backend.move(name, place, data)
        return reason

    @contextmanager
    def lock(self, *parts: str, timeout: float = -1) -> Iterator[None]:
        """Hold the lock of one piece of work, see `Storage.lock`."""
        with self.backend.in_use(), self.backend.lock(key_of({"parts": parts}), timeout):
            yield

    def reading(self, path: str) -> AbstractContextManager[None]:
        """Keep other processes out of `unread` for what is at `path`, KIND/KEY or KIND."""
        return self.backend.shared(key_of({"reading": path}))

    def unread(self, path: str, timeout: float = 0) -> AbstractContextManager[None]:
        """Be the only process that uses what is at `path`; filelock's Timeout where another process is `reading` it for
        longer than `timeout` seconds."""
        return self.backend.sole(key_of({"reading": path}), timeout)
