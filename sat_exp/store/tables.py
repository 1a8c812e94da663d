"""Tables that any number of processes add rows to, such as the predictions of many targets on the same images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from sat_exp.files import PARTIAL
from sat_exp.store.artefact import Artefact, Damaged
from sat_exp.store.encoding import Unsound, decode, encode, key_of

if TYPE_CHECKING:
    from sat_exp.store.store import Store

LONGEST_NAME = 80


class StoredTable(Artefact):
    """Rows of `columns` values each. objects: row key → name of its object, as last listed."""

    def __init__(self, store: "Store", path: str, facts: Mapping[str, Any], columns: int, dtype: str) -> None:
        super().__init__(store, path, facts)
        self.columns, self.dtype = columns, dtype
        self.objects: dict[str, str] = {}

    def metadata(self) -> dict[str, Any]:
        return {"table": {"columns": self.columns, "dtype": self.dtype}, "attributes": {"facts": self.facts}}

    def row(self, facts: Mapping[str, Any], name: str) -> "StoredRow":
        """The row whose key `facts` determine. name: its name for people."""
        return StoredRow(self, key_of(facts), name)

    def listed(self) -> dict[str, str]:
        """Row key → name of the row's object, from one listing."""
        self.objects = {name.partition("~")[0]: name for name in self.parts()}
        return self.objects

    def extent(self) -> tuple[str | None, int, int, int]:
        rows = len(self.objects)
        return None, self.columns, rows, self.columns * rows * np.dtype(self.dtype).itemsize


class StoredRow:
    """A row of a table; it has the methods of an array of one chunk."""

    def __init__(self, table: StoredTable, key: str, name: str) -> None:
        self.table, self.key, self.name = table, key, name

    @property
    def rows(self) -> int:
        return self.table.columns

    @property
    def path(self) -> str:
        """The name of the row's object, whether it is stored yet or not."""
        name = quote(self.name, safe="")[:LONGEST_NAME].replace(PARTIAL, PARTIAL.replace(".", "%2E"))
        own = f"{self.key}~{name}"
        return f"{self.table.path}/{self.table.objects.get(self.key, own)}"

    @property
    def place(self) -> str:
        """A name that the row's checksum covers, so that the bytes are unsound in another table or as another row."""
        return f"{self.table.path}/{self.key}"

    def span(self, chunk: int) -> slice:
        return slice(0, self.rows)

    def length(self, chunk: int) -> int:
        return self.rows

    def missing(self) -> list[int]:
        """[0] where the row is not stored."""
        stored = self.rows == 0 or self.key in self.table.objects or self.key in self.table.listed()
        return [] if stored else [0]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Store the row, unless it is stored already."""
        values = np.asarray(values, self.table.dtype)
        if values.shape != (self.rows,):
            raise ValueError(f"values of shape {values.shape} for a row of {self.rows}")
        self.table.store.backend.create(self.path, encode(values, self.place))
        self.table.objects.setdefault(self.key, self.path.rpartition("/")[2])

    def read_all(self) -> np.ndarray:
        """The row, read-only. Damaged where it is gone, or where it failed its checksum and was quarantined."""
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
