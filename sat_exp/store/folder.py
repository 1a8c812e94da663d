"""The storage of a store: named objects of bytes in a local folder, and locks."""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, ReadWriteLock, Timeout

from sat_exp import files
from sat_exp.errors import FULL, UserError
from sat_exp.store.storage import Entry, Listing, Unwritable

LOCKS, GATE = "locks", "store.db"
RETRY = "repair that and run the same command again"
WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links; some report them without checking whether the name is taken."""


@dataclass(frozen=True)
class Folder:
    """Objects under names such as `logits/ab12/zarr.json`, as files in the folder `root`.

    A file is written under another name and then linked or renamed, so that a killed writer leaves no half-written
    object. Files are not forced to the disk: after a power cut the newest may be empty, which their checksums detect.
    Locks exclude the processes of one machine; see docs/store.md for network file systems.
    """

    root: Path

    def read(self, name: str) -> bytes | None:
        with self.errors("read", name):
            try:
                return (self.root / name).read_bytes()
            except FileNotFoundError:
                return None

    def create(self, name: str, data: bytes) -> bool:
        with self.errors("write to", name), files.partial(self.root / name, data) as partial:
            try:
                os.link(partial, self.root / name)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in WITHOUT_LINKS:
                    raise
                if (self.root / name).exists():
                    return False
                partial.rename(self.root / name)  # of two writers at once the last wins, with equal bytes
            return True

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        data = change(self.read(name))
        with self.errors("write to", name):
            files.write_atomic(self.root / name, data)

    def move(self, name: str, to: str, data: bytes) -> None:
        with self.errors("move", name):
            (self.root / to).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                (self.root / name).rename(self.root / to)

    def remove(self, name: str) -> None:
        with self.errors("remove", name):
            (self.root / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        with suppress(OSError):  # not empty, or gone
            (self.root / name).rmdir()

    def list(self, name: str) -> Listing:
        if name and (self.root / name).is_symlink():  # its target is outside the store
            return Listing([], {})
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
        """Turn an OSError into an Unwritable with advice."""
        try:
            yield
        except OSError as error:
            path = self.root / name
            if error.errno in FULL:
                advice = "free some space and run the same command again"
                raise Unwritable(f"the disk is full at {path}: {advice}") from error
            raise Unwritable(f"cannot {verb} {path}: {error.strerror}; {remedy(error)}") from error

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        lock = FileLock(self.locks() / f"{name}.lock", is_singleton=True)
        return held(lock.lock_file, lambda: lock.acquire(timeout=timeout))

    def shared(self, name: str) -> AbstractContextManager[None]:
        path = self.locks() / f"{name}.lock"
        return held(path, lambda: ReadWriteLock(path).read_lock())

    def sole(self, name: str, timeout: float) -> AbstractContextManager[None]:
        path = self.locks() / f"{name}.lock"
        return held(path, lambda: ReadWriteLock(path).write_lock(timeout=timeout))

    def in_use(self) -> AbstractContextManager[None]:
        return held(self.root / LOCKS / GATE, lambda: self.gate().read_lock())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """As in `Storage`; removes old locks at the end."""
        with ExitStack() as alone:
            try:
                alone.enter_context(held(self.root / LOCKS / GATE, lambda: self.gate().write_lock(timeout=0)))
            except Timeout as error:
                raise UserError(f"another process is at work in {self.root}: prune when it has ended") from error
            yield
            for path in self.locks().glob("*.lock"):
                self.remove(f"{LOCKS}/{path.name}")

    def gate(self) -> ReadWriteLock:
        return ReadWriteLock(self.locks() / GATE)

    def locks(self) -> Path:
        """The folder of the locks."""
        folder = self.root / LOCKS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror}; give output_dir=FOLDER") from error
        if not os.access(folder, os.W_OK):
            raise Unwritable(f"cannot write to {folder}; give output_dir=FOLDER")
        return folder


@contextmanager
def held(path: str | Path, acquire: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
    """Hold the lock at `path` that `acquire` takes; Unwritable where it cannot be opened, a Timeout as it is."""
    with ExitStack() as stack:
        try:
            stack.enter_context(acquire())
        except Timeout:
            raise
        except OSError as error:
            raise Unwritable(f"cannot lock {path}: {error.strerror}; {remedy(error)}") from error
        except sqlite3.Error as error:
            raise Unwritable(f"cannot lock {path}: {error}; {RETRY}") from error
        yield


def remedy(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "a folder is in the way: move it elsewhere"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS or isinstance(error, NotADirectoryError):
        return "give output_dir=FOLDER"
    return RETRY
