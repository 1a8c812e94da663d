"""The interface of all engines, in the manner of `concurrent.futures`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar

from sat_exp.progress import Advance


@dataclass(frozen=True)
class Piece:
    """Work that any process may do, even twice: its results are stored where all processes find them.

    name: for people. work: is called with a function that it tells the number of images done; it can be pickled.
    images: their number in all. stored: a
    number that changes whenever a part of the results is stored, which tells a piece that kills its processes from one
    whose processes are killed; it need not be pickled. light: it needs no model, and can be done while the device
    computes.
    """

    name: str
    work: Callable[[Advance], Any]
    images: int = 0
    stored: Callable[[], int] = int
    light: bool = False


class Engine(ABC):
    """Does pieces of work. It is used in a `with` block, at whose end no worker is left.

    seconds: about how long a piece should take; None for pieces as large as possible. fresh: a new process does each
    piece. resident: one process does all
    pieces, so that it is worth to keep many models loaded.
    """

    seconds: float | None
    fresh: ClassVar[bool] = False
    resident: ClassVar[bool] = False

    def share(self, seconds: float, count: int) -> int:
        """How many of `count` items make a piece of work where each takes so many seconds; 1 or more."""
        if self.seconds is None or seconds * count <= self.seconds:
            return max(1, count)
        return max(1, round(self.seconds / seconds))

    def workers_here(self) -> int | None:
        """How many pieces are done at the same time; None where only the cluster knows."""
        return None

    @abstractmethod
    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        """The future result of a piece. advance: is called with the number of images done, in any thread."""

    @abstractmethod
    def __enter__(self) -> "Engine":
        """Be ready for work."""

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """End all workers at once: all work that counts is done, or an error ends it."""
