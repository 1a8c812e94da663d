"""What is computed of models for measures alone: features, input gradients, predictions on planes. Each is an artefact
in the store, like clean logits."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sat_exp.deferred import deferred
from sat_exp.engine import Piece
from sat_exp.measurement.scheduling import Steps, Task
from sat_exp.measurement.stages import Stages, refuse
from sat_exp.measurement.subjects import Subject
from sat_exp.modules import reading
from sat_exp.modules.clock import Clock, Seconds
from sat_exp.progress import Advance
from sat_exp.similarity.measures import Outputs
from sat_exp.store import StoredArray

if TYPE_CHECKING:
    from sat_exp.modules import prediction
else:  # it imports Lightning, which a full store does not need
    prediction = deferred("sat_exp.modules.prediction")

VERSIONS = {"features": 1, "gradients": 1, "boundaries": 1}
"""Of the code of each kind; a higher one gives another key."""

CORNERS = 3  # images that a plane goes through

Computed = dict[tuple[str, Outputs], StoredArray]
"""The outputs of models by name and kind."""


@dataclass(frozen=True)
class Job:
    """The rows of an array and what they are computed from. images: by row, as batches take them. facts: what
    determines them besides the model and its pixels. techniques: those of the model that computes them."""

    images: Any
    shape: tuple[int, ...]
    dtype: str
    chunk: int
    reading: Callable[..., Any]
    facts: dict[str, Any] = field(default_factory=dict)
    techniques: tuple[str, ...] = ()


@dataclass
class OutputStage:
    """The outputs of one loaded model. Features and gradients are computed with exact numerics."""

    stages: Stages

    def steps(self, subject: Subject, wanted: Collection[Outputs], computed: Computed, seconds: Seconds) -> Steps[None]:
        """The tasks that compute what is `wanted` of a model. The arrays are put into `computed`."""
        lock = ("outputs", subject.fingerprint, subject.view.pixels.key)
        tasks = [
            Task(Piece(f"{subject.name}: {each.kind}", partial(self.compute, subject, each)), (*lock, str(each)))
            for each in wanted
        ]
        for each, (array, passed) in zip(wanted, (yield tasks), strict=True):
            computed[subject.name, each] = self.stages.store.adopt(array)
            seconds.update(passed)

    def compute(self, subject: Subject, wanted: Outputs, advance: Advance) -> tuple[StoredArray, Seconds]:
        """The stored array, whose missing rows are computed, and the seconds that this takes."""
        stages, name = self.stages, subject.name
        with stages.clocked(name) as clock:
            job = self.job(subject, wanted, clock)
            facts = {"images": subject.view.digest, "model": subject.fingerprint, "version": VERSIONS[wanted.kind]}
            facts |= {"numerics": stages.numerics(job.techniques), **job.facts}
            array = stages.store.open(wanted.kind, facts, shape=job.shape, dtype=job.dtype, chunk=job.chunk, name=name)
            if array.missing():
                self.fill(subject, array, job, clock)
        return array, clock.seconds

    def fill(self, subject: Subject, array: StoredArray, job: Job, clock: Clock) -> None:
        """Compute the missing rows of an array."""
        stages, name = self.stages, subject.name
        work = prediction.EvaluationBatches([(job.images, {name: array})], stages.hardware.batch_size)
        array.note_versions(stages.hardware.versions)
        runner = stages.loaded(subject, clock).runner("evaluation", job.techniques)
        stages.predict(prediction.Evaluation({name: runner}, clock, job.reading, "clean"), work, clock, name)
        refuse(work.sinks)
        if work.images() >= array.notes.get("images", 1):
            array.note(seconds=clock.read()[name, "clean"], images=work.images())

    def job(self, subject: Subject, wanted: Outputs, clock: Clock) -> Job:
        """What is to be computed. The images of gradients and planes are those that come first in the order of
        seeds."""
        pixels, order = subject.view.pixels, np.argsort(self.stages.seeds, kind="stable")
        if wanted.kind == "features":
            read = partial(reading.features_of_pixels, subject.name)
            return Job(pixels, (pixels.rows, self.width(subject, clock)), "float32", pixels.chunk, read)
        if wanted.kind == "gradients":
            places = np.sort(order[: wanted.count])
            shape, facts = (len(places), *pixels.shape[1:]), {"rows": places.tolist()}
            chosen = reading.Chosen(pixels, places)
            return Job(chosen, shape, "float16", pixels.chunk, reading.gradients_of, facts)
        planes = min(wanted.count or len(order), len(order) // CORNERS)
        triples, points = order[: planes * CORNERS].reshape(planes, CORNERS), wanted.side**2
        facts, own = {"triples": triples.tolist(), "side": wanted.side}, subject.techniques.evaluation
        images = reading.Planes(pixels, triples, wanted.side)
        return Job(images, (planes * points,), "int32", points, prediction.classes_of, facts, own)

    def width(self, subject: Subject, clock: Clock) -> int:
        """The number of features of a model. It is noted with its logits, so that a full store needs no model."""
        notes = subject.logits.notes
        if "features" not in notes:
            placed, hardware = self.stages.loaded(subject, clock), self.stages.hardware
            image = subject.view.pixels.gather([0])
            width = reading.width_of(placed.model.classifier, image, subject.name, hardware.device)
            subject.logits.note(features=width)
            return width
        return int(notes["features"])


def arranged(array: StoredArray, wanted: Outputs) -> np.ndarray:
    """An array of outputs as a measure takes it: predictions on planes are int32 [planes, side²]."""
    values = array.read_all()
    return values.reshape(-1, wanted.side**2) if wanted.kind == "boundaries" else values
