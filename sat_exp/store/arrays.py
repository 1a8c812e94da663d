"""Arrays on disk, addressed by what they are made from.

Each array is a zarr array in a folder of its own, `<kind>/<key>`, whose key is a hash of the facts that determine its
contents. A chunk is written whole or not at all, carries a checksum, and is never written twice with other bytes, so
that what exists is right and what is missing is the work that is left.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from filelock import FileLock
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from sat_exp.errors import UserError, one_line

log = logging.getLogger(__name__)

CODECS = (Crc32cCodec(),)


class Unwritable(UserError):
    """The store cannot be read or written: nothing that needs it can go on."""


class Damaged(Exception):
    """A stored file was unreadable and has been removed: doing the work again will make it anew."""


def key_of(facts: Mapping[str, Any]) -> str:
    """The first 24 hexadecimal digits of the SHA-256 of `facts` as canonical JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:24]


def seal(metadata: dict[str, Any]) -> str:
    """A checksum of an array's metadata, which is kept among them."""
    attributes = {name: value for name, value in metadata["attributes"].items() if name != "seal"}
    return key_of(metadata | {"attributes": attributes})


def write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Write an array's metadata under their seal, all or nothing."""
    metadata["attributes"]["seal"] = seal(metadata)
    partial = path / f"zarr.{uuid.uuid4().hex}.partial"
    try:
        path.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(metadata, indent=2))
        partial.replace(path / "zarr.json")
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> Unwritable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unwritable(f"the disk is full at {path}: free some space and run the same command again")
    return Unwritable(f"cannot write to {path}: {error.strerror}; give output_dir=FOLDER")


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
            raise unwritable(self.path, error) from error

    def read(self, chunk: int) -> np.ndarray:
        """A chunk's rows. Raises Damaged, and removes the file, where it is gone or fails its checksum."""
        file = self.file(chunk)
        try:
            # zarr takes a file that is gone for one full of zeros, so it has to be there before and after.
            if file.is_file():
                values = np.asarray(self.array[self.span(chunk)])
                if file.is_file():
                    return values
        except OSError as error:
            raise Unwritable(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, TypeError, RuntimeError) as error:
            file.unlink(missing_ok=True)
            raise Damaged(f"{file} is damaged ({one_line(error)})") from error
        raise Damaged(f"{file} is gone")

    def read_all(self) -> np.ndarray:
        """All rows; Damaged as in `read`."""
        if self.rows == 0:
            return np.empty(self.array.shape, self.array.dtype)
        return np.concatenate([self.read(chunk) for chunk in range(self.chunks)])

    def damaged(self) -> list[str]:
        """Check every chunk on disk against its checksum; what was damaged and has been removed."""
        found = []
        for chunk in sorted(set(range(self.chunks)).difference(self.missing())):
            try:
                self.read(chunk)
            except Damaged as damage:
                found.append(str(damage))
        return found

    def verify(self) -> None:
        """Check every chunk on disk against its checksum; Damaged as in `read`, naming all of them."""
        if found := self.damaged():
            raise Damaged("; ".join(found))

    def gather(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The given rows, in ascending order, reading each chunk they touch once."""
        rows = np.asarray(rows)
        if len(rows) == 0:
            return np.empty((0, *self.array.shape[1:]), self.array.dtype)
        return np.concatenate([
            self.read(chunk)[rows[rows // self.chunk == chunk] - chunk * self.chunk]
            for chunk in np.unique(rows // self.chunk)
        ])  # fmt: skip

    @property
    def notes(self) -> dict[str, Any]:
        """What has been noted beside the array: nothing that its contents depend on."""
        return dict(self.metadata["attributes"]["notes"])

    def note(self, **facts: Any) -> None:
        metadata = self.metadata
        metadata["attributes"]["notes"] |= facts
        write_metadata(self.path, metadata)

    @property
    def metadata(self) -> dict[str, Any]:
        return json.loads((self.path / "zarr.json").read_bytes())


def open_sound(path: Path) -> StoredArray:
    """The array at `path`; Damaged where its metadata are absent, unreadable or other than what was written."""
    try:
        metadata = json.loads((path / "zarr.json").read_bytes())
        if metadata["attributes"]["seal"] != seal(metadata):
            raise ValueError("its metadata fail their checksum")
        # zarr does not keep write_empty_chunks: without it a chunk of zeros would never reach the disk.
        with zarr.config.set({"array.write_empty_chunks": True}):
            return StoredArray(path, zarr.open_array(path, mode="r+", zarr_format=3))
    except FileNotFoundError as error:
        raise Damaged(f"{path / 'zarr.json'} is gone") from error
    except OSError as error:
        raise Unwritable(f"cannot read {path / 'zarr.json'}: {error.strerror}") from error
    except Exception as error:
        raise Damaged(f"{path / 'zarr.json'} is damaged ({one_line(error)})") from error


@dataclass(frozen=True)
class Store:
    """A folder of stored arrays, shared by any number of processes. opened: those that this process asked for."""

    folder: Path
    opened: dict[Path, StoredArray] = field(default_factory=dict, compare=False, repr=False)

    def open(
        self, kind: str, facts: Mapping[str, Any], *, shape: tuple[int, ...], dtype: str, chunk: int, **notes: Any
    ) -> StoredArray:
        """The array that `facts` determine, made empty where it does not exist.

        A chunk size differs from `chunk` where the array was begun with another: its own is kept. Metadata that is
        unreadable or altered is named in a warning and the array begun anew.
        """
        path = self.folder / kind / key_of(facts)
        try:
            self.opened[path] = open_sound(path)
        except Damaged:
            with self.lock("open"):
                self.opened[path] = self.open_or_create(path, facts, shape, dtype, chunk, notes)
        return self.opened[path]

    def manifest(self) -> pd.DataFrame:
        """What `opened` holds: kind, name, key, rows, chunks, bytes (of the arrays, without checksums)."""
        rows = [
            (path.parent.name, array.notes.get("name", ""), path.name, array.rows, array.chunks, array.array.nbytes)
            for path, array in self.opened.items()
        ]
        columns = ["kind", "name", "key", "rows", "chunks", "bytes"]
        return pd.DataFrame(rows, columns=columns).sort_values(["kind", "name", "key"], ignore_index=True)

    def open_or_create(
        self,
        path: Path,
        facts: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: str,
        chunk: int,
        notes: dict[str, Any],
    ) -> StoredArray:
        try:
            return open_sound(path)
        except Damaged as damage:
            if (path / "zarr.json").exists():
                log.warning("%s: all of %s is computed again", damage, path)
                shutil.rmtree(path)
        files: dict[str, Buffer] = {}
        zarr.create_array(
            store=MemoryStore(files),
            shape=shape,
            chunks=(max(1, min(chunk, shape[0])), *shape[1:]),
            dtype=dtype,
            compressors=CODECS,
            attributes={"facts": dict(facts), "notes": notes},
        )
        write_metadata(path, json.loads(files["zarr.json"].to_bytes()))
        return open_sound(path)

    def lock(self, *parts: str) -> FileLock:
        """The lock of one piece of work; the operating system frees it when its holder dies."""
        folder = self.folder / "locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        if not os.access(folder, os.W_OK):
            raise Unwritable(f"cannot write to {folder}; give output_dir=FOLDER")
        return FileLock(folder / f"{key_of({'parts': parts})}.lock")
