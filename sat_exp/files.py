"""Files that others may have made: regular ones only, and no larger than they can be."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MB = 1 << 20


@contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """The regular file at `path`, open for reading; OSError, without waiting, for a pipe, a device, a socket and a
    folder, and for a file of more than `most` bytes."""
    refuse(path.stat(), path, most)
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        refuse(os.fstat(file.fileno()), path, most)
        yield file


def contents(path: Path, most: int) -> bytes:
    """The bytes of a regular file; OSError as in `opened`."""
    with opened(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise too_large(path, most)
    return content


def refuse(status: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if status.st_size > most:
        raise too_large(path, most)


def too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"Larger than {most / MB:,.0f} MB", str(path))
