"""Progress of long work, on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int], None]


def ignore(images: int) -> None:
    """An `Advance` that shows nothing."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A bar on the error stream; the function that it gives advances it by a number of images out of `total`."""
    counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description:<9}"), BarColumn(), *counts, console=console) as bars:
        task = bars.add_task(label, total=total)
        yield lambda images: bars.advance(task, images)
