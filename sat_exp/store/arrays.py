"""Arrays of a known number of rows, stored in chunks of rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from sat_exp.store.artefact import METADATA, SEAL, Artefact, Damaged, log
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
            array.chunk = array.chunk_of_parts() or array.chunk
            store.backend.create(f"{path}/{METADATA}", sign(zarr_metadata(facts, shape, dtype, array.chunk)))
        if metadata["attributes"]["facts"] != facts:
            raise RuntimeError(f"{path} is sound, but of other facts: one key stands for two things")
        array.chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        array.sealed = array.seal()
        array.note_missing(notes)
        return array

    @classmethod
    def of(cls, store: "Store", path: str, metadata: Mapping[str, Any]) -> "StoredArray":
        """The array at `path` that its `metadata` describe."""
        chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        facts, shape = metadata["attributes"]["facts"], tuple(metadata["shape"])
        return cls(store, path, facts, shape, metadata["data_type"], chunk)

    def chunk_of_parts(self) -> int | None:
        """The rows of a chunk, as the seal tells, or else a sound chunk; None where there is neither."""
        if (seal := self.seal()) is not None:
            return seal["chunk"]
        row = prod(self.shape[1:]) * np.dtype(self.dtype).itemsize
        for name, entry in self.parts().items() if row else ():
            rows = (entry.size - CRC_BYTES) // row
            data = self.store.backend.read(f"{self.path}/{name}") if rows > 0 else None
            with suppress(Unsound):
                if data is not None and len(decode(data, self.dtype, (rows, *self.shape[1:]))):
                    return rows
        return None

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
        """The last part of the name of the object that a chunk is stored in."""
        return ".".join([str(chunk), *["0"] * (len(self.shape) - 1)])

    def named(self, chunk: int) -> str:
        """The object that a chunk is stored in."""
        return f"{self.path}/{self.part(chunk)}"

    def missing(self) -> list[int]:
        """The chunks that are not stored, by one listing."""
        there = self.parts()
        return [chunk for chunk in range(self.chunks) if self.part(chunk) not in there]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Store a chunk, all of it or nothing; where it is stored already, that one stays.

        A chunk computed again may have other bits than its array was sealed with, as on another device: the seal goes
        then. Damaged, and nothing is stored, where that seal shows another chunk to be damaged.
        """
        values = np.asarray(values, self.dtype)
        if values.shape != (self.length(chunk), *self.shape[1:]):
            raise ValueError(f"values of shape {values.shape} for chunk {chunk} of an array of shape {self.shape}")
        if len(values) < self.chunk:
            values = np.pad(values, [(0, self.chunk - len(values)), *[(0, 0)] * (values.ndim - 1)])
        data = encode(values)
        self.sealed = self.seal()
        other = self.sealed is not None and stored_checksum(data) != self.sealed["chunks"][chunk]
        if other and chunk in self.missing():
            self.unseal(chunk)
        self.store.backend.create(self.named(chunk), data)

    def unseal(self, chunk: int) -> None:
        """Move the seal away, once all other chunks that are stored have been found to be those that it seals."""

        def outdated(_: bytes) -> None:
            raise Unsound(f"chunk {chunk} is computed again with other bits")

        for other in sorted(set(range(self.chunks)).difference(self.missing())):
            self.read(other)
        if reason := self.store.quarantine(f"{self.path}/{SEAL}", outdated):
            log.warning("%s: it is written again", reason)
        self.sealed = None

    def read(self, chunk: int) -> np.ndarray:
        """A chunk's rows, read-only. Damaged where it is gone, or fails its checksum and is now in the quarantine."""
        return self.checked(chunk)[0]

    def checked(self, chunk: int) -> tuple[np.ndarray, int]:
        """A chunk's rows and their checksum; Damaged as in `read`."""
        name = self.named(chunk)
        while (data := self.store.backend.read(name)) is not None:
            try:
                return self.sound(chunk, data), stored_checksum(data)
            except Unsound:
                if reason := self.store.quarantine(name, lambda data: self.sound(chunk, data, again=True)):
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
        """sha256: of the contents; chunks: their checksums; chunk: rows of one. None where it has not been written."""
        found = self.document(SEAL)
        return None if found is None else found["attributes"]

    @property
    def digest(self) -> str:
        """The SHA-256 of all rows, in hex, kept once it is known. Damaged where a chunk is missing or damaged."""
        if missing := self.missing():
            raise Damaged(f"{self.store.backend.locate(self.named(missing[0]))} is gone")
        while (seal := self.seal()) is None:
            self.sealed = None
            contents, checksums = hashlib.sha256(), []
            for chunk in range(self.chunks):
                rows, checksum = self.checked(chunk)
                contents.update(rows.tobytes())
                checksums.append(checksum)
            sealed = {"sha256": contents.hexdigest(), "chunk": self.chunk, "chunks": checksums}
            self.store.backend.create(f"{self.path}/{SEAL}", sign({"attributes": sealed}))
        self.sealed = seal
        return seal["sha256"]

    def described(self) -> tuple[str, str, str, str | None, int, int, int]:
        digest = None if self.sealed is None else self.sealed["sha256"]
        return self.kind, self.notes.get("name", ""), self.key, digest, self.rows, self.chunks, self.nbytes
