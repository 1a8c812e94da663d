"""Work on all cores, by processes, since much of its time is spent in Python."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import starmap
from threading import Event, Thread
from typing import Any

from joblib import Parallel, cpu_count, delayed, parallel_config
from sklearn import config_context

from sat_exp.progress import progress

__all__ = ["computed", "delayed", "prepare"]

Job = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

IDLE = 20
"""Seconds after which a process without work ends, also where this program was killed."""

START = 3.0
"""Seconds that processes take until they work: they import libraries."""

_prepared = Event()


def prepare(module: str) -> None:
    """Start the processes, and let them import a module while this one goes on."""
    if cpu_count() > 1:
        imports = [delayed(import_module)(module)] * cpu_count()
        Thread(target=lambda: [*_elsewhere(imports)], daemon=True).start()
        _prepared.set()


def computed(label: str, jobs: Iterable[Job], count: int) -> list[Any]:
    """The results of `count` jobs of `delayed`, in their order, with a bar of progress.

    Without `prepare` the first jobs run here, and the others in processes once the time that they save is longer than
    the time in which processes start.
    """
    found: list[Any] = []
    jobs, started = iter(jobs), time.monotonic()
    with progress(label, count) as bar:
        while len(found) < count and not _worth(len(found), count, time.monotonic() - started):
            found.append(_quick(*next(jobs)))
            bar(1)
        for result in _elsewhere(jobs) if len(found) < count else ():
            found.append(result)
            bar(1)
    return found


def _worth(done: int, count: int, elapsed: float) -> bool:
    """Whether processes would do the rest of the work sooner."""
    saved = elapsed * (count - done) / max(done, 1) * (1 - 1 / cpu_count())
    return cpu_count() > 1 and (_prepared.is_set() or (elapsed > START / 2 and saved > START))


def _elsewhere(jobs: Iterable[Job]) -> Iterator[Any]:
    """The results of jobs in one process per core."""
    with parallel_config("loky", idle_worker_timeout=IDLE):
        yield from Parallel(n_jobs=cpu_count(), return_as="generator")(starmap(delayed(_quick), jobs))


def _quick(function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """The result of a function in which scikit-learn does not check again what was checked."""
    with config_context(skip_parameter_validation=True, assume_finite=True):
        return function(*arguments, **options)
