"""What a store needs of its storage: named objects of bytes, and locks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sat_exp.errors import UserError


class Unwritable(UserError):
    """The store cannot be read or written, so no work that needs it can continue."""


@dataclass(frozen=True)
class Entry:
    """An object in a listing. size: bytes. modified: the time of the last write, in seconds since 1970."""

    size: int
    modified: float


@dataclass(frozen=True)
class Listing:
    """The contents of a folder: names of folders, and objects by the last part of their names."""

    folders: list[str]
    objects: dict[str, Entry]


class Storage(Protocol):
    """Objects under names such as `logits/ab12/zarr.json`, each complete or absent.

    Objects that are gone are no error: None where one is read, and nothing happens where one is moved or removed. Any
    other failure raises Unwritable. It can be pickled for another process.
    """

    def read(self, name: str) -> bytes | None:
        """The bytes of an object."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object and return True; False, and nothing changes, where the name is taken."""

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace an object by what `change` makes of its bytes, of None where it is absent. The caller holds a lock
        for it; where locks exclude nobody, `change` may be called again."""

    def move(self, name: str, to: str, data: bytes) -> None:
        """Move an object whose bytes were `data` under a lock for it. Where locks exclude nobody, an object that has
        other bytes by now stays."""

    def remove(self, name: str) -> None:
        """Remove an object."""

    def remove_folder(self, name: str) -> None:
        """Remove a folder if it is empty."""

    def list(self, name: str) -> Listing:
        """The contents of a folder; empty where there is no such folder."""

    def locate(self, name: str) -> str:
        """The full name of an object, for messages."""

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Hold a lock, which is free again when its holder dies. filelock's Timeout where another process holds it for
        longer than `timeout` seconds; no limit where negative."""

    def shared(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that any number of processes may hold so at the same time; wait for one that holds it `sole`."""

    def sole(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Hold a lock of `shared` alone. filelock's Timeout as in `lock`."""

    def in_use(self) -> AbstractContextManager[None]:
        """Keep all processes out of `alone`; wait while one is in it."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep all processes out of `in_use`; UserError where one is in it."""
