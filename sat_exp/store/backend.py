"""Where the bytes of a store lie: a few operations on named objects, and the local folder that offers them."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sat_exp.errors import UserError

PARTIAL = ".partial"
WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""How file systems say that they have no hard links; some do so before they look whether the name is taken."""


class Unwritable(UserError):
    """The store cannot be read or written: nothing that needs it can go on."""


@dataclass(frozen=True)
class Entry:
    """An object in a listing: its size in bytes, and when it was last written, in seconds since 1970."""

    size: int
    modified: float


@dataclass(frozen=True)
class Listing:
    """What lies directly below a name: folders, and objects by their last part."""

    folders: list[str]
    objects: dict[str, Entry]


class Backend(Protocol):
    """Objects of bytes under names such as `logits/ab12/zarr.json`.

    An object is there whole or not at all. Whatever goes wrong but the absence of an object raises Unwritable.
    """

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where there is none."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; False, and nothing changes, where one of this name exists."""

    def replace(self, name: str, data: bytes) -> None:
        """Create an object, or replace the one of this name."""

    def move(self, name: str, to: str) -> None:
        """Give an object another name; nothing happens where it is gone."""

    def remove(self, name: str) -> None:
        """Remove an object; nothing happens where it is gone."""

    def remove_folder(self, name: str) -> None:
        """Remove what lies below a name once its objects are gone."""

    def list(self, name: str) -> Listing:
        """What lies directly below a name, by one call to where the bytes lie; empty where there is nothing."""

    def locate(self, name: str) -> str:
        """The full name of an object, for messages."""


@dataclass(frozen=True)
class Folder:
    """Objects as files in a local folder.

    A file is written under another name and then linked or renamed, so that a killed writer leaves no half of one. It
    is not forced to the disk: after a power cut the newest files may be empty, which their checksums tell.
    """

    root: Path

    def read(self, name: str) -> bytes | None:
        with self.errors("read", name):
            try:
                return (self.root / name).read_bytes()
            except FileNotFoundError:
                return None

    def create(self, name: str, data: bytes) -> bool:
        with self.errors("write to", name), self.partial(name, data) as partial:
            try:
                os.link(partial, self.root / name)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in WITHOUT_LINKS:
                    raise
                if (self.root / name).exists():
                    return False
                partial.rename(self.root / name)  # of two who create at once the last wins, with equal bytes
            return True

    def replace(self, name: str, data: bytes) -> None:
        with self.errors("write to", name), self.partial(name, data) as partial:
            partial.replace(self.root / name)

    @contextmanager
    def partial(self, name: str, data: bytes) -> Iterator[Path]:
        """A file that holds `data`, in the folder of `name`; removed afterwards where it is still there."""
        path = self.root / name
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        with self.errors("move", name):
            (self.root / to).parent.mkdir(parents=True, exist_ok=True)
            try:
                (self.root / name).rename(self.root / to)
            except FileNotFoundError:
                return

    def remove(self, name: str) -> None:
        with self.errors("remove", name):
            (self.root / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        try:
            (self.root / name).rmdir()
        except OSError:  # not empty, or gone: both are as they should be
            return

    def list(self, name: str) -> Listing:
        folders, objects = [], {}
        with self.errors("list", name):
            try:
                with os.scandir(self.root / name) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.name)
                            continue
                        try:
                            facts = entry.stat()
                        except FileNotFoundError:
                            continue
                        objects[entry.name] = Entry(facts.st_size, facts.st_mtime)
            except FileNotFoundError:
                return Listing([], {})
        return Listing(sorted(folders), objects)

    def locate(self, name: str) -> str:
        return str(self.root / name)

    @contextmanager
    def errors(self, verb: str, name: str) -> Iterator[None]:
        """Turn an OSError into one line that says what to do."""
        try:
            yield
        except OSError as error:
            path = self.root / name
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unwritable(
                    f"the disk is full at {path}: free some space and run the same command again"
                ) from error
            raise Unwritable(f"cannot {verb} {path}: {error.strerror}; {remedy(error)}") from error


def remedy(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "a folder is in the way: move it elsewhere"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS or isinstance(error, NotADirectoryError):
        return "give output_dir=FOLDER"
    return "run the same command again when that is mended"
