"""Progress of long work, on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int], None]


def ignore(images: int) -> None:
    """An `Advance` for work whose progress is not shown."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A bar that is advanced by a number of images, or of other things, out of `total`."""
    counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description:<9}"), BarColumn(), *counts) as bars:
        task = bars.add_task(label, total=total)
        yield lambda images: bars.advance(task, images)
