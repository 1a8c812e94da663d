"""Bounded reads of files that others may have made, and atomic writes."""

import errno
import gzip
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MB = 1 << 20

PARTIAL = ".partial"  # the end of a file's name while it is written


@contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """Open the regular file at `path` for reading. OSError, without waiting, for a folder, a pipe, a device, a socket
    and a file of more than `most` bytes."""
    refuse(path.stat(), path, most)
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        refuse(os.fstat(file.fileno()), path, most)
        yield file


def is_url(place: str) -> bool:
    """Whether a place is a URL and not a path."""
    return "://" in place


def contents(path: Path, most: int) -> bytes:
    """The bytes of a regular file; OSError as in `opened`."""
    with opened(path, most) as file:
        return at_most(file, path, most)


def unzipped(path: Path, most: int) -> bytes:
    """The bytes that a gzip file unpacks to. OSError as in `opened`, and for more than `most` unpacked bytes; EOFError
    or zlib.error for a damaged file."""
    with opened(path, most) as file, gzip.open(file) as packed:
        return at_most(packed, path, most)


def at_most(file: BinaryIO | gzip.GzipFile, path: Path, most: int) -> bytes:
    """The rest of `file`; OSError where that is more than `most` bytes."""
    content = file.read(most + 1)
    if len(content) > most:
        raise too_large(path, most)
    return content


def refuse(status: os.stat_result, path: Path, most: int) -> None:
    """OSError unless `status` is that of a regular file of at most `most` bytes."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if status.st_size > most:
        raise too_large(path, most)


def too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"Larger than {most / MB:,.0f} MB", str(path))


@contextmanager
def partial(path: Path, data: bytes) -> Iterator[Path]:
    """Write `data` to a new file next to `path`, whose folder is made where needed; remove it at the end, unless it was
    renamed."""
    place = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}{PARTIAL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.write_bytes(data)
        yield place
    finally:
        place.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file as a whole: a reader, or the next run after a kill, finds the old file or the new one. The file is
    not forced to the disk: after a power cut it may be empty."""
    with partial(path, data) as place:
        place.replace(path)
