"""Arrays of a known number of rows, stored in chunks of rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from sat_exp.store.artefact import METADATA, SEAL, Artefact, Damaged
from sat_exp.store.encoding import CRC_BYTES, Unsound, decode, encode, sign, stored_checksum, zarr_metadata

if TYPE_CHECKING:
    from sat_exp.store.store import Store


class StoredArray(Artefact):
    """An array of `shape` whose rows are read and written in chunks of `chunk`. sealed: `seal` as last read."""

    def __init__(
        self, store: "Store", path: str, facts: Mapping[str, Any], shape: tuple[int, ...], dtype: str, chunk: int
    ) -> None:
        super().__init__(store, path, facts)
        self.shape, self.dtype, self.chunk = shape, dtype, chunk
        self.sealed: dict[str, Any] | None = None

    @classmethod
    def open(
        cls,
        store: "Store",
        path: str,
        facts: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: str,
        chunk: int,
        notes: Mapping[str, Any],
    ) -> "StoredArray":
        """The array at `path`, begun where it does not exist."""
        facts = json.loads(json.dumps(dict(facts)))
        array = cls(store, path, facts, shape, dtype, max(1, min(chunk, shape[0])))
        while (metadata := array.document(METADATA)) is None:
            array.chunk = array.chunk_of_files() or array.chunk
            if store.backend.create(f"{path}/{METADATA}", sign(zarr_metadata(facts, shape, dtype, array.chunk))):
                array.note(**notes)
        if metadata["attributes"]["facts"] != facts:
            raise RuntimeError(f"{path} is sound, but of other facts: one key stands for two things")
        array.chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        array.sealed = array.seal()
        return array

    @classmethod
    def of(cls, store: "Store", path: str, metadata: Mapping[str, Any]) -> "StoredArray":
        """The array at `path` that its `metadata` describe."""
        chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        facts, shape = metadata["attributes"]["facts"], tuple(metadata["shape"])
        return cls(store, path, facts, shape, metadata["data_type"], chunk)

    def chunk_of_files(self) -> int | None:
        """The rows of a chunk, as the sizes of most chunks tell; None where there is no chunk."""
        row = prod(self.shape[1:]) * np.dtype(self.dtype).itemsize
        sizes = [entry.size - CRC_BYTES for entry in self.parts().values()]
        counts = Counter(size // row for size in sizes if size >= row and size % row == 0)
        return counts.most_common(1)[0][0] if counts else None

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def chunks(self) -> int:
        return -(-self.rows // self.chunk)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def span(self, chunk: int) -> slice:
        """The rows of a chunk."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.rows))

    def length(self, chunk: int) -> int:
        """How many rows a chunk has."""
        return self.span(chunk).stop - self.span(chunk).start

    def part(self, chunk: int) -> str:
        """The object that a chunk is stored in."""
        return ".".join([str(chunk), *["0"] * (len(self.shape) - 1)])

    def missing(self) -> list[int]:
        """The chunks that are not stored, by one listing."""
        there = self.parts()
        return [chunk for chunk in range(self.chunks) if self.part(chunk) not in there]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Store a chunk, all of it or nothing; where it is stored already, that one stays."""
        values = np.asarray(values, self.dtype)
        if values.shape != (self.length(chunk), *self.shape[1:]):
            raise ValueError(f"values of shape {values.shape} for chunk {chunk} of an array of shape {self.shape}")
        if len(values) < self.chunk:
            values = np.pad(values, [(0, self.chunk - len(values)), *[(0, 0)] * (values.ndim - 1)])
        self.store.backend.create(f"{self.path}/{self.part(chunk)}", encode(values))

    def read(self, chunk: int) -> np.ndarray:
        """A chunk's rows, read-only. Damaged where it is gone, or fails its checksum and is now in the quarantine."""
        return self.checked(chunk)[0]

    def checked(self, chunk: int) -> tuple[np.ndarray, int]:
        """A chunk's rows and their checksum; Damaged as in `read`."""
        name = f"{self.path}/{self.part(chunk)}"
        while (data := self.store.backend.read(name)) is not None:
            try:
                return self.sound(chunk, data), stored_checksum(data)
            except Unsound:
                seal = f"{self.path}/{SEAL}"
                if reason := self.store.quarantine(name, lambda data: self.sound(chunk, data, again=True), seal):
                    self.sealed = None
                    raise Damaged(reason) from None
        raise Damaged(f"{self.store.backend.locate(name)} is gone")

    def sound(self, chunk: int, data: bytes, *, again: bool = False) -> np.ndarray:
        """The rows that `data` are as this chunk; Unsound where they are not. again: read the seal again before."""
        if again:
            self.sealed = self.seal()
        if self.sealed is not None and stored_checksum(data) != self.sealed["chunks"][chunk]:
            raise Unsound("its checksum is not the sealed one")
        return decode(data, self.dtype, (self.chunk, *self.shape[1:]))[: self.length(chunk)]

    def read_all(self) -> np.ndarray:
        """All rows; Damaged as in `read`."""
        return self.gather(np.arange(self.rows))

    def gather(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The given rows, in ascending order, reading each chunk they touch once; Damaged as in `read`."""
        rows = np.asarray(rows, np.int64)
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return np.concatenate([
            self.read(int(chunk))[rows[rows // self.chunk == chunk] - chunk * self.chunk]
            for chunk in np.unique(rows // self.chunk)
        ])  # fmt: skip

    def damaged(self) -> list[str]:
        """Check every stored chunk; what was damaged and is now in the quarantine."""
        found = []
        for chunk in sorted(set(range(self.chunks)).difference(self.missing())):
            try:
                self.read(chunk)
            except Damaged as damage:
                found.append(damage.reason)
        return found

    def seal(self) -> dict[str, Any] | None:
        """sha256: of the contents; chunks: their checksums. None where it has not been written."""
        found = self.document(SEAL)
        return None if found is None else found["attributes"]

    @property
    def digest(self) -> str:
        """The SHA-256 of all rows, in hex, kept once it is known. Damaged where a chunk is missing or damaged."""
        while (seal := self.seal()) is None:
            self.sealed = None
            contents, checksums = hashlib.sha256(), []
            for chunk in range(self.chunks):
                rows, checksum = self.checked(chunk)
                contents.update(rows.tobytes())
                checksums.append(checksum)
            document = {"attributes": {"sha256": contents.hexdigest(), "chunks": checksums}}
            self.store.backend.create(f"{self.path}/{SEAL}", sign(document))
        self.sealed = seal
        return seal["sha256"]

    def described(self) -> tuple[str, str, str, str | None, int, int, int]:
        digest = None if self.sealed is None else self.sealed["sha256"]
        return self.kind, self.notes.get("name", ""), self.key, digest, self.rows, self.chunks, self.nbytes
