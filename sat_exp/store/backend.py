"""The interface between a store and its storage: operations on named objects, and locks."""

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


class Backend(Protocol):
    """Objects of bytes under names such as `logits/ab12/zarr.json`.

    An object exists as a whole or not at all. Any failure other than an absent object raises Unwritable.
    """

    def read(self, name: str) -> bytes | None:
        """The bytes of an object; None where it does not exist."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object and return True; False, and nothing changes, where the name is taken."""

    def replace(self, name: str, data: bytes) -> None:
        """Create or replace an object."""

    def move(self, name: str, to: str) -> None:
        """Rename an object; nothing happens where it is gone."""

    def remove(self, name: str) -> None:
        """Remove an object; nothing happens where it is gone."""

    def remove_folder(self, name: str) -> None:
        """Remove a folder; nothing happens where it is not empty, or gone."""

    def list(self, name: str) -> Listing:
        """The contents of a folder, by one call to the storage; empty where there is no such folder."""

    def locate(self, name: str) -> str:
        """The full name of an object, for messages."""

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Hold a lock, which is freed when its holder dies.

        Raises filelock's Timeout where another process holds it for longer than `timeout` seconds; waits without limit
        where that is negative.
        """

    def in_use(self) -> AbstractContextManager[None]:
        """Keep all processes out of `alone`; wait while one is in it."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep all processes out of `in_use`, and remove old locks at the end; UserError where one is in it."""
