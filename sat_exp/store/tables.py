"""Tables whose rows come one by one, from any number of processes: the predictions of targets on the same images."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from sat_exp.store.artefact import METADATA, Artefact, Damaged
from sat_exp.store.backend import PARTIAL
from sat_exp.store.encoding import Unsound, decode, encode, key_of, sign

if TYPE_CHECKING:
    from sat_exp.store.store import Store

LONGEST_NAME = 80


class StoredTable(Artefact):
    """Rows of `columns` values. objects: the object of each row's key, as last listed."""

    def __init__(self, store: "Store", path: str, facts: Mapping[str, Any], columns: int, dtype: str) -> None:
        super().__init__(store, path, facts)
        self.columns, self.dtype = columns, dtype
        self.objects: dict[str, str] = {}

    @classmethod
    def open(
        cls, store: "Store", path: str, facts: Mapping[str, Any], columns: int, dtype: str, notes: Mapping[str, Any]
    ) -> "StoredTable":
        """The table at `path`, begun where it does not exist."""
        facts = json.loads(json.dumps(dict(facts)))
        table = cls(store, path, facts, columns, dtype)
        while (metadata := table.document(METADATA)) is None:
            begun = {"table": {"columns": columns, "dtype": dtype}, "attributes": {"facts": facts}}
            store.backend.create(f"{path}/{METADATA}", sign(begun))
        if metadata["attributes"]["facts"] != facts:
            raise RuntimeError(f"{path} is sound, but of other facts: one key stands for two things")
        table.note_missing(notes)
        return table

    def row(self, facts: Mapping[str, Any], name: str) -> "StoredRow":
        """The row that `facts` determine; `name` says what it is to people."""
        return StoredRow(self, key_of(facts), name)

    def listed(self) -> dict[str, str]:
        """The object of each stored row, by its key, from one listing."""
        self.objects = {name.partition("~")[0]: name for name in self.parts()}
        return self.objects

    def described(self) -> tuple[str, str, str, str | None, int, int, int]:
        rows = len(self.objects)
        size = self.columns * rows * np.dtype(self.dtype).itemsize
        return self.kind, self.notes.get("name", ""), self.key, None, self.columns, rows, size


class StoredRow:
    """A row of a table, with the methods of an array of one chunk."""

    def __init__(self, table: StoredTable, key: str, name: str) -> None:
        self.table, self.key, self.name = table, key, name

    @property
    def rows(self) -> int:
        return self.table.columns

    @property
    def path(self) -> str:
        """The object that the row is stored in, or will be."""
        name = quote(self.name, safe="")[:LONGEST_NAME].replace(PARTIAL, PARTIAL.replace(".", "%2E"))
        own = f"{self.key}~{name}"
        return f"{self.table.path}/{self.table.objects.get(self.key, own)}"

    @property
    def place(self) -> str:
        """What the row's checksum covers too: it is sound in no other table, and as no other row."""
        return f"{self.table.path}/{self.key}"

    def span(self, chunk: int) -> slice:
        return slice(0, self.rows)

    def length(self, chunk: int) -> int:
        return self.rows

    def missing(self) -> list[int]:
        """[0] where the row is not stored."""
        there = self.rows == 0 or self.key in self.table.objects or self.key in self.table.listed()
        return [] if there else [0]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Store the row; where it is stored already, that one stays."""
        values = np.asarray(values, self.table.dtype)
        if values.shape != (self.rows,):
            raise ValueError(f"values of shape {values.shape} for a row of {self.rows}")
        self.table.store.backend.create(self.path, encode(values, self.place))
        self.table.objects.setdefault(self.key, self.path.rpartition("/")[2])

    def read_all(self) -> np.ndarray:
        """The row, read-only. Damaged where it is gone, or fails its checksum and is now in the quarantine."""
        if self.missing():
            raise Damaged(f"{self.table.store.backend.locate(self.path)} is gone")
        if self.rows == 0:
            return np.empty(0, self.table.dtype)
        store, name = self.table.store, self.path
        while (data := store.backend.read(name)) is not None:
            try:
                return self.sound(data)
            except Unsound:
                if reason := store.quarantine(name, self.sound):
                    self.table.objects.pop(self.key, None)
                    raise Damaged(reason) from None
        self.table.objects.pop(self.key, None)
        raise Damaged(f"{store.backend.locate(name)} is gone")

    def sound(self, data: bytes) -> np.ndarray:
        return decode(data, self.table.dtype, (self.rows,), self.place)


def name_of_row(part: str) -> str:
    """What people call the row that is stored in the object `part`."""
    return unquote(part.partition("~")[2])
