"""Arrays with a fixed number of rows, stored in chunks of rows."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from sat_exp.store.artefact import SEAL, Artefact, Damaged, Dropped, damage_in, log
from sat_exp.store.encoding import CRC_BYTES, Unsound, decode, encode, sign, stored_checksum, zarr_metadata

if TYPE_CHECKING:
    from sat_exp.store.store import Store


class StoredArray(Artefact):
    """An array of `shape`, read and written in chunks of `chunk` rows. sealed: the seal as last read."""

    def __init__(
        self, store: "Store", path: str, facts: Mapping[str, Any], shape: tuple[int, ...], dtype: str, chunk: int
    ) -> None:
        super().__init__(store, path, facts)
        self.shape, self.dtype, self.chunk = shape, dtype, chunk
        self.sealed: dict[str, Any] | None = None

    @classmethod
    def of(cls, store: "Store", path: str, metadata: Mapping[str, Any]) -> "StoredArray":
        """The array at `path` with this metadata."""
        facts, shape = metadata["attributes"]["facts"], tuple(metadata["shape"])
        return cls(store, path, facts, shape, metadata["data_type"], chunk_rows(metadata))

    def begin(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        metadata = super().begin(notes)
        self.chunk, self.sealed = chunk_rows(metadata), self.seal()
        return metadata

    def metadata(self) -> dict[str, Any]:
        return zarr_metadata(self.facts, self.shape, self.dtype, self.chunk_of_parts() or self.chunk)

    def chunk_of_parts(self) -> int | None:
        """The rows of a chunk, from the seal or a sound chunk; None where there is neither."""
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

    def span(self, chunk: int) -> slice:
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.rows))

    def length(self, chunk: int) -> int:
        return self.span(chunk).stop - self.span(chunk).start

    def part(self, chunk: int) -> str:
        """The last part of the name of a chunk's object."""
        return ".".join([str(chunk), *["0"] * (len(self.shape) - 1)])

    def named(self, chunk: int) -> str:
        return f"{self.path}/{self.part(chunk)}"

    def missing(self) -> list[int]:
        """The chunks that are not stored, from one listing."""
        stored = self.parts()
        return [chunk for chunk in range(self.chunks) if self.part(chunk) not in stored]

    def present(self) -> list[int]:
        """The chunks that are stored, from one listing."""
        return sorted(set(range(self.chunks)).difference(self.missing()))

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Store a chunk as a whole, unless it is stored already. A chunk that is computed again, for example on another
        device, may have other bits than the seal states. The seal is then removed. Damaged, and nothing is stored,
        where the seal shows that another chunk is damaged."""
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
        """Move the seal to the quarantine, after checking all other stored chunks against it."""

        def outdated(_: bytes) -> None:
            raise Unsound(f"chunk {chunk} is computed again with other bits")

        for other in self.present():
            self.read(other)
        if reason := self.store.quarantine(f"{self.path}/{SEAL}", outdated):
            log.warning("%s: it is written again", reason)
        self.sealed = None

    def read(self, chunk: int) -> np.ndarray:
        """A chunk's rows, read-only. Damaged where it is gone, or where it failed its checksum and was quarantined;
        Dropped where it was dropped."""
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
        place = self.store.backend.locate(name)
        raise Dropped(f"{place} was dropped") if self.dropped else Damaged(f"{place} is gone")

    def sound(self, chunk: int, data: bytes, *, again: bool = False) -> np.ndarray:
        """The rows of a chunk in its stored bytes; Unsound for other bytes. again: first read the seal again."""
        if again:
            self.sealed = self.seal()
        if self.sealed is not None and stored_checksum(data) != self.sealed["chunks"][chunk]:
            raise Unsound("its checksum is not the sealed one")
        return decode(data, self.dtype, (self.chunk, *self.shape[1:]))[: self.length(chunk)]

    def read_all(self) -> np.ndarray:
        """All rows; Damaged as in `read`."""
        return self.gather(np.arange(self.rows))

    def gather(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some rows, in ascending order; each chunk is read once. Damaged as in `read`."""
        rows = np.asarray(rows, np.int64)
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return np.concatenate([
            self.read(int(chunk))[rows[rows // self.chunk == chunk] - chunk * self.chunk]
            for chunk in np.unique(rows // self.chunk)
        ])  # fmt: skip

    def damaged(self) -> list[str]:
        """Check every stored chunk. A line for each damaged one, which is moved to the quarantine."""
        return damage_in(partial(self.read, chunk) for chunk in self.present())

    def seal(self) -> dict[str, Any] | None:
        """The SHA-256 of all rows, the rows per chunk and every chunk's checksum; None where there is no seal yet."""
        found = self.document(SEAL)
        return None if found is None else found["attributes"]

    @property
    def digest(self) -> str:
        """The SHA-256 of all rows, in hex; computed once, then sealed. Damaged where a chunk is damaged, or missing
        without having been dropped."""
        if (missing := self.missing()) and not self.dropped:
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

    @property
    def dropped(self) -> bool:
        """Whether chunks that are missing were dropped: the seal then stands for them."""
        return bool(self.notes.get("dropped")) and self.seal() is not None

    def drop(self, kept: Collection[int] = ()) -> None:
        """Remove the stored chunks except `kept`; the seal and the notes stay. The caller is alone with the array, see
        `Store.unread`. Damaged where chunks are missing that were not dropped."""
        _ = self.digest  # is stored
        if chunks := sorted(set(self.present()).difference(kept)):
            self.note(dropped=True)  # first, so that a kill leaves no array that looks damaged
        for chunk in chunks:
            self.store.backend.remove(self.named(chunk))

    def extent(self) -> tuple[str | None, int, int, int]:
        digest = None if self.sealed is None else self.sealed["sha256"]
        return digest, self.rows, self.chunks, prod(self.shape) * np.dtype(self.dtype).itemsize


def chunk_rows(metadata: Mapping[str, Any]) -> int:
    """The rows of a chunk that an array's metadata state."""
    return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])
