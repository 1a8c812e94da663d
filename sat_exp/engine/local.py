"""This process does the work."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sat_exp.engine.engine import Engine, Piece
from sat_exp.progress import Advance


class Local(Engine):
    """Each piece is done as it is submitted; a light one in a thread, while the next pieces are done."""

    seconds = None
    resident = True

    def __enter__(self) -> "Local":
        self.thread = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.shutdown(cancel_futures=True)

    def workers_here(self) -> int:
        return 1

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        if piece.light:
            return self.thread.submit(piece.work, advance)
        future: Future[Any] = Future()
        try:
            future.set_result(piece.work(advance))
        except Exception as error:
            future.set_exception(error)
        return future
