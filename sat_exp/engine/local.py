"""This process does the work."""

from concurrent.futures import Future
from typing import Any

from sat_exp.engine.engine import Engine, Piece
from sat_exp.progress import Advance


class Local(Engine):
    """Each piece is done as it is submitted."""

    seconds = None

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: object) -> None:
        """There are no workers."""

    def workers_here(self) -> int:
        return 1

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(piece.work(advance))
        except Exception as error:
            future.set_exception(error)
        return future
