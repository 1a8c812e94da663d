"""Signs of life of long work, on the error stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int], None]

PATIENCE = 3.0
"""Seconds without a sign of life, and between two lines of progress."""


def ignored(steps: int) -> None:
    """Progress that nobody follows."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A bar on the error stream; the function that it gives advances it by a number of steps out of `total`. Where the
    stream is no terminal, lines take the place of the moving bar: after three seconds, then ever more rarely."""
    counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description:<9}"), BarColumn(), *counts, console=console) as bars:
        task = bars.add_task(label, total=total)
        due = PATIENCE

        def advance(steps: int) -> None:
            nonlocal due
            bars.advance(task, steps)
            state = bars.tasks[0]
            elapsed = state.elapsed or 0.0
            if not console.is_terminal and elapsed >= due and not state.finished:
                due = elapsed + max(PATIENCE, elapsed / 20)
                left = elapsed * (total / max(state.completed, 1) - 1)
                console.print(f"{label:<9} {state.completed:.0f}/{total}, {elapsed:.0f} s, about {left:.0f} s left")

        yield advance


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show that work of unknown length goes on in the body: on a terminal by a moving sign, elsewhere by one line after
    three seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(label):
            yield
        return
    timer = Timer(PATIENCE, console.print, [f"{label} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
