"""Arrays on disk, addressed by what they are made from.

Each array is a zarr array in a folder of its own, `<kind>/<key>`, whose key is a hash of the facts that determine its
contents. A chunk is written whole or not at all, carries a checksum, and is never written twice with other bytes, so
that what exists is right and what is missing is the work that is left.
"""

import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from filelock import FileLock
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.errors import ContainsArrayError

from sat_exp.errors import UserError

log = logging.getLogger(__name__)

COMPRESSION = (BloscCodec(cname="lz4", clevel=3, shuffle="bitshuffle", typesize=1), Crc32cCodec())


class Damaged(Exception):
    """A stored file was unreadable and has been removed: doing the work again will make it anew."""


def key_of(facts: Mapping[str, Any]) -> str:
    """The first 24 hexadecimal digits of the SHA-256 of `facts` as canonical JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:24]


class StoredArray:
    """An array of `rows` rows, read and written in chunks of `chunk` rows."""

    def __init__(self, path: Path, array: zarr.Array) -> None:
        self.path = path
        self.array = array
        self.rows: int = array.shape[0]
        self.chunk: int = array.chunks[0]
        self.chunks = -(-self.rows // self.chunk)

    def span(self, chunk: int) -> slice:
        """The rows of a chunk."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.rows))

    def length(self, chunk: int) -> int:
        """How many rows a chunk has."""
        return self.span(chunk).stop - self.span(chunk).start

    def file(self, chunk: int) -> Path:
        return self.path / self.array.metadata.encode_chunk_key((chunk, *[0] * (self.array.ndim - 1)))

    def missing(self) -> list[int]:
        """The chunks that are not on disk."""
        return [chunk for chunk in range(self.chunks) if not self.file(chunk).is_file()]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Write a chunk, all of it or nothing; a full disk is a UserError."""
        try:
            self.array[self.span(chunk)] = values
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(
                f"the disk is full at {self.path}: free some space and run the same command again"
            ) from error

    def read(self, chunk: int) -> np.ndarray:
        """A chunk's rows. Raises Damaged, and removes the file, where it is gone or fails its checksum."""
        if not self.file(chunk).is_file():
            raise Damaged(f"{self.file(chunk)} is gone")
        try:
            return np.asarray(self.array[self.span(chunk)])
        except Exception as error:
            self.file(chunk).unlink(missing_ok=True)
            raise Damaged(f"{self.file(chunk)} is damaged ({' '.join(str(error).split())[:120]})") from error

    def read_all(self) -> np.ndarray:
        """All rows; Damaged as in `read`."""
        if self.rows == 0:
            return np.empty(self.array.shape, self.array.dtype)
        return np.concatenate([self.read(chunk) for chunk in range(self.chunks)])

    def verify(self) -> None:
        """Check every chunk on disk against its checksum; Damaged as in `read`."""
        for chunk in set(range(self.chunks)).difference(self.missing()):
            self.read(chunk)

    def gather(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The given rows, in ascending order, reading each chunk they touch once."""
        rows = np.asarray(rows)
        return np.concatenate([
            self.read(chunk)[rows[rows // self.chunk == chunk] - chunk * self.chunk]
            for chunk in np.unique(rows // self.chunk)
        ])  # fmt: skip

    @property
    def notes(self) -> dict[str, Any]:
        """What has been noted beside the array: nothing that its contents depend on."""
        return dict(self.array.attrs["notes"])  # type: ignore[arg-type]

    def note(self, **facts: Any) -> None:
        self.array.attrs["notes"] = self.notes | facts


@dataclass(frozen=True)
class Store:
    """A folder of stored arrays, shared by any number of processes."""

    folder: Path

    def open(
        self, kind: str, facts: Mapping[str, Any], *, shape: tuple[int, ...], dtype: str, chunk: int, **notes: Any
    ) -> StoredArray:
        """The array that `facts` determine, made empty where it does not exist.

        A chunk size differs from `chunk` where the array was begun with another: its own is kept. Metadata that is
        unreadable or does not fit is named in a warning and the array begun anew.
        """
        path = self.folder / kind / key_of(facts)
        if (path / "zarr.json").is_file():
            try:
                array = zarr.open_array(path, mode="r+")
                if (array.attrs["facts"], array.shape, str(array.dtype)) == (
                    json.loads(json.dumps(facts)),
                    shape,
                    dtype,
                ):
                    return StoredArray(path, array)
                reason = "its metadata do not fit its name"
            except Exception as error:
                reason = " ".join(str(error).split())[:120]
            log.warning("%s is damaged (%s): it is computed again", path, reason)
            shutil.rmtree(path)
        return StoredArray(path, self.create(path, facts, shape, dtype, chunk, notes))

    def create(
        self,
        path: Path,
        facts: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: str,
        chunk: int,
        notes: dict[str, Any],
    ) -> zarr.Array:
        try:
            return zarr.create_array(
                store=path,
                shape=shape,
                chunks=(max(1, min(chunk, shape[0])), *shape[1:]),
                dtype=dtype,
                compressors=COMPRESSION,
                attributes={"facts": dict(facts), "notes": notes},
                config={"write_empty_chunks": True},
            )
        except ContainsArrayError:
            return zarr.open_array(path, mode="r+")
        except OSError as error:
            raise UserError(f"cannot write to {self.folder}: {error.strerror}; give output_dir=FOLDER") from error

    def lock(self, *parts: str) -> FileLock:
        """The lock of one piece of work; the operating system frees it when its holder dies."""
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{key_of({'parts': parts})}.lock")
