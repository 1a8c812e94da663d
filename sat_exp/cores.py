"""Work on all cores: in processes where most of its time is spent in Python, in threads where it is in NumPy."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from importlib import import_module
from multiprocessing import current_process, get_context
from threading import Event, Thread
from typing import Any, TypeVar

from loky import cpu_count, get_reusable_executor

from sat_exp.progress import Advance, progress

Part = TypeVar("Part")
Result = TypeVar("Result")
Job = Callable[[], Any]

IDLE = 20
"""Seconds after which a process without work ends, also where this program was killed."""

START = 3.0
"""Seconds that processes take until they work: they import libraries."""

PATIENCE = 60.0
"""Seconds to wait for a copy of the process that still works on its last job."""

_prepared = Event()


def prepare(module: str) -> None:
    """Start the processes, and let them import a module while this one goes on."""
    if cpu_count() > 1:
        workers = _processes()
        imports = [workers.submit(import_module, module) for _ in range(cpu_count() - 1)]
        Thread(target=_note, args=[imports], daemon=True).start()


def _note(imports: Sequence[Future]) -> None:
    """Wait for the processes, then note that they are prepared."""
    wait(imports)
    _prepared.set()


def computed(label: str, jobs: Sequence[Job]) -> list[Any]:
    """The results of `jobs`, in their order, with a bar of progress.

    They run in this process until others, one for each further core, are started and take their share. That is once
    the time that they save is longer than that of their start; from the beginning after `prepare`.
    """
    found: list[Any] = []
    started = time.monotonic()
    with progress(label, len(jobs)) as bar:
        while len(found) < len(jobs) and not _worth(len(found), len(jobs), time.monotonic() - started):
            found.append(_quick(jobs[len(found)]))
            bar(1)
        return found + (_shared(jobs[len(found) :], bar) if len(found) < len(jobs) else [])


def forked(label: str, jobs: Sequence[Callable[[], object]]) -> None:
    """Do `jobs`, at most a few hundred whose results are files, with a bar of progress: here and in copies of this
    process, one for each further core, which need no start. The jobs must not use torch's threads. A job that a copy
    does not finish is done here, which raises its error. Only on Linux are there copies: elsewhere they are not safe.
    """
    copies = min(cpu_count(), len(jobs)) - 1 if sys.platform == "linux" and not current_process().daemon else 0
    context: Any = get_context("fork" if copies > 0 else None)
    done = context.RawArray("b", len(jobs))
    reading, writing = os.pipe()  # of the jobs that nobody has taken; unlike a lock, a killed process cannot hold it
    os.write(writing, b"".join(at.to_bytes(2) for at in range(len(jobs))))
    os.close(writing)
    with progress(label, len(jobs)) as bar:
        processes = [context.Process(target=_copy, args=(jobs, reading, done), daemon=True) for _ in range(copies)]
        try:
            for process in processes:
                process.start()
            own = _work(jobs, reading, done, bar)
            for process in processes:
                process.join(PATIENCE)
        finally:
            os.close(reading)
            for process in processes:
                if process.is_alive():
                    process.kill()
        bar(sum(done) - own)
        for at, job in enumerate(jobs):
            if not done[at]:
                job()
                bar(1)


def _copy(jobs: Sequence[Job], reading: int, done: Any) -> None:
    """What a copy of the process does. Ctrl-C reaches it too: the other process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(Exception):
        _work(jobs, reading, done, lambda steps: None)


def _work(jobs: Sequence[Job], reading: int, done: Any, advance: Advance) -> int:
    """Do the jobs that no process has taken; returns their number. reading: gives their places. done: whether each is
    done."""
    own = 0
    while place := os.read(reading, 2):
        at = int.from_bytes(place)
        jobs[at]()
        done[at], own = True, own + 1
        advance(1)
    return own


def in_threads(function: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[Result]:
    """The results for `parts`, in their order, as they come."""
    with ThreadPoolExecutor(cpu_count()) as threads:
        yield from threads.map(function, parts)


def _worth(done: int, count: int, elapsed: float) -> bool:
    """Whether other processes would help to do the rest of the work sooner."""
    saved = elapsed * (count - done) / max(done, 1) * (1 - 1 / cpu_count())
    return cpu_count() > 1 and (_prepared.is_set() or (elapsed > START / 2 and saved > START))


def _shared(jobs: Sequence[Job], advance: Advance) -> list[Any]:
    """The results of jobs that other processes take from the front, one at a time, and this one from the end."""
    left, found, workers, others = deque(enumerate(jobs)), {}, _processes(), cpu_count() - 1

    def work(take: Callable[[], tuple[int, Job]], do: Callable[[Job], Any]) -> None:
        while True:
            try:
                at, job = take()
            except IndexError:
                return
            found[at] = do(job)
            advance(1)

    with ThreadPoolExecutor(others) as threads:
        try:
            elsewhere = [
                threads.submit(work, left.popleft, lambda job: workers.submit(_quick, job).result())
                for _ in range(others)
            ]
            work(left.pop, _quick)
            for one in elsewhere:
                one.result()
        finally:
            left.clear()
    return [found[at] for at in range(len(jobs))]


def _processes() -> Executor:
    """A process for each core but the one of this process, with one thread each for linear algebra."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return get_reusable_executor(cpu_count() - 1, timeout=IDLE, env=threads)


def _quick(job: Job) -> Any:
    """The result of a job in which scikit-learn does not check again what was checked."""
    if "sklearn" not in sys.modules:  # its import takes half a second, and most jobs do not need it
        return job()
    from sklearn import config_context

    with config_context(skip_parameter_validation=True, assume_finite=True):
        return job()
