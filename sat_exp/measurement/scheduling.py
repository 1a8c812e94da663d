"""The order of the work, its division among processes, and what happens when a part of it fails."""

import gc
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from filelock import Timeout

from sat_exp.engine import Engine, Piece
from sat_exp.errors import UserError, reason
from sat_exp.measurement.loaded import forget
from sat_exp.models import Candidate
from sat_exp.progress import Advance
from sat_exp.settings.targets import allowed, allowing
from sat_exp.store import Damaged, Dropped, Store, Unwritable

if TYPE_CHECKING:
    from sat_exp.measurement.measurement import Targets
    from sat_exp.measurement.subjects import Source, Subject

log = logging.getLogger(__name__)

Item = TypeVar("Item", Candidate, "Source", "Subject", "Targets")
Result = TypeVar("Result")


class Locks(Protocol):
    """The locks by which processes keep from doing the same work, such as those of a store."""

    def lock(self, *parts: str, timeout: float = -1) -> AbstractContextManager[None]:
        """Hold the lock of one piece of work; Timeout where another process holds it for longer than `timeout` seconds,
        which -1 does not limit."""


@dataclass(frozen=True)
class Task:
    """A piece of work under its lock. lock: names what is done, so that no other process does it at the same time."""

    piece: Piece
    lock: tuple[str, ...]


Steps = Generator[Sequence[Task], list[Any], Result]
"""All that is done with one item, step by step: it yields the tasks of a step, which may be done at the same time, is
sent their results, and returns the result."""


@dataclass
class Chain:
    """The steps of one item, which has a name. open: the number of tasks of the current step that are not done."""

    item: Any
    steps: Steps[Any]
    results: list[Any] = field(default_factory=list)
    open: int = 0


@dataclass
class Schedule:
    """Work on each of several items, mostly models. failures: the reason for each that failed; its later work is
    skipped."""

    locks: Locks
    engine: Engine
    failures: dict[str, str] = field(default_factory=dict)

    def each(
        self,
        items: Sequence[Item],
        steps: Callable[[Item], Steps[Result]],
        advance: Advance,
        size: Callable[[Item], Any] = attrgetter("parameters"),
    ) -> list[Result]:
        """The results of the steps of each item, in the order of `items`, without those that failed. The item of the
        largest `size` comes first. Tasks that another process has locked come last: then their results are stored."""
        work = Work(self, advance)
        for item in sorted(items, key=size, reverse=True):
            if item.name not in self.failures:
                work.start(Chain(item, steps(item)))
        work.finish()
        return [work.results[item.name] for item in items if item.name in work.results]

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Record why the body fails for one item; the others continue. Damage and a full disk stop them all."""
        try:
            yield
            return
        except (Damaged, Unwritable):
            raise
        except Exception as error:  # is not kept: its traceback holds the model and all that was computed with it
            expected = isinstance(error, (UserError, OSError))
            self.fail(name, reason(error), None if expected else error)
        gc.collect()  # Lightning's trainer and module refer to each other

    def fail(self, name: str, why: str, error: Exception | None = None) -> None:
        """Record why an item failed; the first reason counts. error: is logged with its traceback."""
        if name not in self.failures:
            log.error("%s failed: %s", name, why, exc_info=error)
            self.failures[name] = why


class Work:
    """Chains whose tasks are done by the engine of a schedule. results: by name of the item."""

    def __init__(self, schedule: Schedule, advance: Advance) -> None:
        self.schedule, self.advance = schedule, advance
        self.results: dict[str, Any] = {}
        self.running: dict[Future[Any], tuple[Chain, int, Task]] = {}
        self.locked: list[tuple[Chain, int, Task]] = []

    def start(self, chain: Chain) -> None:
        """Begin a chain; an engine that does its work at once also ends it."""
        self.step(chain, None)
        self.collect(0)

    def finish(self) -> None:
        """Wait for all chains, at last for those that another process works on."""
        while self.running or self.locked:
            if not self.running:
                postponed, self.locked = self.locked, []
                for chain, place, task in postponed:
                    self.submit(chain, place, task, patience=-1)
            self.collect(None)

    def step(self, chain: Chain, results: list[Any] | None) -> None:
        """Send a chain the results of its last step, and submit the tasks of the next one."""
        with self.schedule.attempt(chain.item.name):
            try:
                tasks = next(chain.steps) if results is None else chain.steps.send(results)
                while not tasks:
                    tasks = chain.steps.send([])
            except StopIteration as end:
                self.results[chain.item.name] = end.value
                return
            chain.results, chain.open = [None] * len(tasks), len(tasks)
            for place, task in enumerate(tasks):
                self.submit(chain, place, task)

    def submit(self, chain: Chain, place: int, task: Task, patience: float = 0) -> None:
        work = partial(done, self.schedule.locks, task.piece.work, task.lock, patience, allowed())
        piece = replace(task.piece, work=work)
        self.running[self.schedule.engine.submit(piece, self.advance)] = chain, place, task

    def collect(self, patience: float | None) -> None:
        """Take the results that there are after waiting for one, at most `patience` seconds."""
        while finished := wait(self.running, patience, FIRST_COMPLETED).done:
            for future in finished:
                self.take(future, *self.running.pop(future))
            patience = 0

    def take(self, future: Future[Any], chain: Chain, place: int, task: Task) -> None:
        """Take the result of a task, and begin the next step where it was the last one of its step."""
        if chain.item.name in self.schedule.failures:
            return
        with self.schedule.attempt(chain.item.name):
            try:
                chain.results[place] = future.result()
            except Timeout:
                self.locked.append((chain, place, task))
                return
            chain.open -= 1
            if chain.open == 0:
                self.step(chain, chain.results)


def done(
    locks: Locks,
    work: Callable[[Advance], Any],
    lock: tuple[str, ...],
    patience: float,
    packages: tuple[str, ...],
    advance: Advance,
) -> Any:
    """The result of `work` under its lock, in any process; Timeout where another process holds it for longer than
    `patience` seconds. packages: whose code configurations may name."""
    with allowing(packages), locks.lock(*lock, timeout=patience):
        try:
            return work(advance)
        except BaseException:
            forget()
            raise


def repaired(store: Store, work: Callable[[], Result]) -> Result:
    """The result of `work`. Where it finds damaged files, they are quarantined and it is repeated, which computes them
    again; UserError where one of them is then damaged once more."""
    named: set[str] = set()
    with store.backend.in_use():
        while True:
            try:
                return work()
            except Dropped as dropped:  # by another command, which has ended its work on it
                log.warning("%s: it is computed again", dropped.reason)
            except Damaged as damage:
                if damage.reason in named:
                    again = "again after it was computed again: the disk cannot be trusted"
                    raise UserError(f"{damage.reason}, {again}") from damage
                found = {damage.reason, *(line for array in store.arrays() for line in array.damaged())}
                for line in sorted(found - named):
                    log.warning("%s: it is computed again", line)
                named |= found
