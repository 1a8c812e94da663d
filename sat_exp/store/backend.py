"""What a store asks of the place where its bytes lie: a few operations on named objects, and locks."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sat_exp.errors import UserError

PARTIAL = ".partial"
"""How the names of objects end that are being written."""


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

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock of that name, which is freed when its holder dies.

        Raises filelock's Timeout where another process holds it for longer than `timeout` seconds; waits where that is
        negative.
        """

    def in_use(self) -> AbstractContextManager[None]:
        """Keep others from being alone; wait while one is."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep all others out, and forget the locks that they left; UserError where anyone is at work."""
