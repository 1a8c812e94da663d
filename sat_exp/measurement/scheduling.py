"""The order of the work, its division among processes, and what happens when a part of it fails."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from filelock import Timeout

from sat_exp.errors import UserError, one_line
from sat_exp.models import Candidate
from sat_exp.store import Damaged, Store, Unwritable

if TYPE_CHECKING:
    from sat_exp.measurement.subjects import Subject

log = logging.getLogger(__name__)

Item = TypeVar("Item", Candidate, "Subject")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Schedule:
    """Work on each of several models. failures: the reason for each model that failed; its later work is skipped."""

    store: Store
    failures: dict[str, str] = field(default_factory=dict)

    def each(
        self, items: Sequence[Item], work: Callable[[Item], Result], lock: Callable[[Item], tuple[str, ...]]
    ) -> list[Result]:
        """The results of `work` on each item under its lock, in the order of `items`, without those that failed. The
        largest model comes first. Items that another process has locked come last: then their results are stored."""
        results: dict[int, Result] = {}
        order = sorted(range(len(items)), key=lambda position: -items[position].parameters)
        for patience in (0, -1):
            for position in order:
                item = items[position]
                if position in results or item.name in self.failures:
                    continue
                try:
                    with self.store.lock(*lock(item), timeout=patience), self.attempt(item.name):
                        results[position] = work(item)
                except Timeout:
                    continue
        return [results[position] for position in sorted(results)]

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Record why the body fails for one model; the others continue. Damage and a full disk stop them all."""
        try:
            yield
            return
        except (Damaged, Unwritable):
            raise
        except Exception as error:  # is not kept: its traceback holds the model and all that was computed with it
            log.error("%s failed: %s", name, reason(error), exc_info=None if isinstance(error, UserError) else error)
            self.failures[name] = reason(error)
        gc.collect()  # Lightning's trainer and module refer to each other


def repaired(store: Store, work: Callable[[], Result]) -> Result:
    """The result of `work`. Where it finds damaged files, they are quarantined and it is repeated, which computes them
    again; UserError where one of them is then damaged once more."""
    named: set[str] = set()
    with store.backend.in_use():
        while True:
            try:
                return work()
            except Damaged as damage:
                if damage.reason in named:
                    again = "again after it was computed again: the disk cannot be trusted"
                    raise UserError(f"{damage.reason}, {again}") from damage
                found = {damage.reason, *(line for array in store.arrays() for line in array.damaged())}
            for line in sorted(found - named):
                log.warning("%s: it is computed again", line)
            named |= found


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
