"""Work for processes, in a file that they import quickly."""

import gc
import os
import signal
import time
from pathlib import Path

from sat_exp.progress import Advance


def process(advance: Advance) -> int:
    time.sleep(0.2)
    return os.getpid()


def dying(marks: Path, deaths: int, advance: Advance) -> int:
    """The number of times that it was begun; at the first `deaths` the process dies."""
    begun = len(list(marks.iterdir())) + 1
    (marks / str(begun)).touch()
    if begun <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return begun


def environment(advance: Advance) -> tuple[str | None, str | None]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


def slow(advance: Advance) -> None:
    time.sleep(100)


def failing(advance: Advance) -> None:
    from sat_exp.store import Damaged

    raise Damaged("x is damaged")


class Knot:
    """Garbage that only a search finds: it refers to itself."""

    alive = 0

    def __init__(self) -> None:
        self.own = self
        Knot.alive += 1

    def __del__(self) -> None:
        Knot.alive -= 1


def leaving(advance: Advance) -> bool:
    """Leave a knot of the oldest generation; whether garbage is collected."""
    knot = Knot()
    gc.collect()
    return gc.isenabled() and knot.own is knot


def searching(advance: Advance) -> int:
    """The number of knots that a search for garbage leaves."""
    gc.collect()
    return Knot.alive
