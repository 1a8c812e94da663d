"""Measurements that do not keep adversarial images: only some sources have theirs in the store at the same time.

After all clean predictions come blocks of sources. The sources of a block are attacked, all targets are evaluated, and
the chunks of the adversarial images are removed, except those with the examples of the report. Seals and notes stay, so
that predictions keep their keys, and a source whose predictions are stored is not attacked again.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from filelock import Timeout

from sat_exp.errors import UserError
from sat_exp.measurement.choice import chunks_of, example_rows
from sat_exp.measurement.division import source_blocks
from sat_exp.measurement.loaded import forget
from sat_exp.measurement.scheduling import Schedule, Steps, Task
from sat_exp.measurement.subjects import Direction, Source, Subject
from sat_exp.progress import Advance, progress
from sat_exp.store import Damaged

if TYPE_CHECKING:
    from sat_exp.measurement.measurement import Measurement

ADVERSARIAL = "adversarial"
"""The kind of the adversarial images, and what a measurement that keeps them is reading."""

PATIENCE = 5.0
"""Seconds that the last attempt to drop images waits, see `Blocks.drop`."""

log = logging.getLogger(__name__)


@dataclass
class Blocks:
    """The sources of `wanted` directions, some at a time. left: those whose images were read when they were to be
    dropped, with the chunks to keep."""

    measurement: "Measurement"
    wanted: set[Direction]
    schedule: Schedule
    left: list[tuple[Source, list[int]]] = field(default_factory=list)

    def measured(self, subjects: Sequence[Subject]) -> list[Subject]:
        """The subjects, those that were attacked as sources; the adversarial images are dropped."""
        work, images = self.measurement, self.measurement.images
        sources = self.sources(subjects)
        examples = example_rows([*sources.values()], images.labels, images.canvas.crop)
        shown = sum(len(sources[source].rows) for source, _ in self.wanted if source in sources)
        largest_first = sorted(sources.values(), key=lambda source: -source.parameters)
        blocks = source_blocks(work.engine, largest_first, len(work.groups(subjects)))
        found: dict[str, Subject] = {subject.name: subject for subject in subjects}
        with progress("measure", len(sources) * len(images) + shown) as bar:
            for block in blocks:
                attacked = self.block(block, subjects, bar)
                found |= {source.name: source for source in attacked}
                self.left += [(source, chunks_of(source, examples)) for source in attacked]
                self.drop()
        self.drop(PATIENCE)
        if self.left:
            names = ", ".join(source.name for source, _ in self.left)
            log.warning("the adversarial images of %s stay: another command uses them; run this one again", names)
        return [*found.values()]

    def sources(self, subjects: Sequence[Subject]) -> dict[str, Source]:
        """The subjects that are to be attacked, by name."""
        wanted, sources = {source for source, _ in self.wanted}, {}
        for subject in subjects:
            if subject.name in wanted:
                with self.schedule.attempt(subject.name):
                    sources[subject.name] = self.measurement.stages.source(subject)
        return sources

    def block(self, block: Sequence[Source], subjects: Sequence[Subject], bar: Advance) -> list[Source]:
        """The sources of a block after their attack and the evaluation of their targets; without those that failed."""
        work, plain = self.measurement, {subject.name: subject for subject in subjects}
        with ExitStack() as reading:
            for source in block:
                reading.enter_context(work.store.reading(source.adversarial.path))

            def steps(source: Source) -> Steps[Source]:
                return work.perturbed(plain[source.name], bar, complete=self.complete(source, subjects))

            with work.timed("attack"):
                attacked = self.schedule.each(block, steps, bar)
            with work.timed("transfer"):
                sources = {source.name: source for source in attacked}
                work.shown([sources.get(each.name, each) for each in subjects], self.wanted, self.schedule, bar)
        return attacked

    def complete(self, source: Source, subjects: Sequence[Subject]) -> bool:
        """Whether the images of a source were dropped and no prediction for them is missing."""
        wanted, failures = self.wanted, self.schedule.failures
        targets = [each for each in subjects if (source.name, each.name) in wanted and each.name not in failures]
        rows = (self.measurement.stages.predictions(source, target) for target in targets)
        return source.adversarial.dropped and not any(row.missing() for row in rows)

    def drop(self, patience: float = 0) -> None:
        """Drop what is left to drop, as far as no other command uses it. patience: seconds to wait for commands that
        keep images, and for one that is dropping others."""
        store, left = self.measurement.store, self.left
        with suppress(Timeout), store.unread(ADVERSARIAL, patience):
            for source, kept in [*left]:
                with suppress(Timeout), store.unread(source.adversarial.path):
                    source.adversarial.drop(kept)
                    left.remove((source, kept))


def restore(measurement: "Measurement", sources: Sequence[Source], rows: np.ndarray) -> None:
    """Attack again the images at `rows` whose adversarial images were dropped: the examples, where a model failed after
    they were chosen, or where other ones were chosen before. Damaged where the images are now others, for example on
    another device."""
    lacking = {source.name: lacking_chunks(source, rows) for source in sources}
    again = [source for source in sources if lacking[source.name]]
    if not again:
        return
    schedule = Schedule(measurement.store, measurement.engine)
    images = sum(source.adversarial.length(chunk) for source in again for chunk in lacking[source.name])

    def steps(source: Source) -> Steps[None]:
        lock, parts = measurement.lock_of(source.candidate), [range(at, at + 1) for at in lacking[source.name]]
        yield [Task(measurement.attack_on(part, source), (*lock, str(part))) for part in parts]

    try:
        with measurement.engine, progress("examples", images) as bar:
            schedule.each(again, steps, bar)
    finally:
        forget()
    if schedule.failures:
        raise UserError("; ".join(f"{name} failed: {why}" for name, why in schedule.failures.items()))
    for source in again:
        if source.adversarial.digest != source.digest:
            place = measurement.store.backend.locate(source.adversarial.path)
            raise Damaged(f"{place} was attacked again with other results")


def lacking_chunks(source: Source, rows: np.ndarray) -> list[int]:
    """The dropped chunks of a source that hold images at `rows`."""
    chunks = set(chunks_of(source, rows)).intersection(source.adversarial.missing())
    return sorted(chunks) if chunks and source.adversarial.dropped else []
