"""The stages of a measurement, each on one loaded model: clean predictions, attack, predictions of a target.

They run in any process, and one that is interrupted or done twice leaves the same results in the store.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from sat_exp.attacks import Attack, random
from sat_exp.attacks.attack import perturbation_norms
from sat_exp.deferred import deferred
from sat_exp.errors import UserError, reason
from sat_exp.measurement.calibrated import techniques
from sat_exp.measurement.identity import identity, verified
from sat_exp.measurement.loaded import loaded
from sat_exp.measurement.subjects import Facts, Source, Subject, Techniques, View
from sat_exp.models import Candidate, preflight
from sat_exp.modules.clock import ALONE, Clock, Seconds
from sat_exp.modules.hardware import Hardware, Placed, Runner
from sat_exp.progress import Advance, ignored
from sat_exp.store import Damaged, Store, StoredArray, StoredRow

if TYPE_CHECKING:
    from lightning import Callback, LightningModule

    from sat_exp.modules import prediction, streaming
else:  # they import Lightning, which a full store does not need
    prediction, streaming = (deferred(f"sat_exp.modules.{name}") for name in ("prediction", "streaming"))

PREFLIGHT_IMAGES = 8

Job = tuple[StoredArray, dict[str, StoredRow]]
"""Images, and the predictions of targets for them, by the targets' names."""


@dataclass(frozen=True)
class Evaluated:
    """failures: the reason for each target that failed. seconds: see `clock`."""

    failures: dict[str, str]
    seconds: Seconds


@dataclass
class Stages:
    """The stages, with what they share. room: bytes for models that are kept. failed: why targets
    failed, which are not tried again by this process. Other fields as in `Measurement`."""

    images: Facts
    protocol: str
    attack: Attack
    store: Store
    hardware: Hardware
    seed: int
    labels: str
    room: float
    failed: dict[str, str] = field(default_factory=dict)

    def attack_facts(self) -> dict[str, Any]:
        """All that determines adversarial images except the model, and the images with their labels and seeds."""
        return {
            "attack": f"{type(self.attack).__module__}.{type(self.attack).__qualname__}",
            "version": self.attack.version,
            "numbers": dict(vars(self.attack)),
            "protocol": self.protocol,
        }

    def numerics(self, techniques: Sequence[str]) -> str:
        """All that changes the numbers of a model, as in keys."""
        return " ".join([self.hardware.in_effect, *techniques])

    def clean(self, candidate: Candidate, view: View, advance: Advance) -> tuple[Subject, Seconds]:
        """Preflight, and clean logits of all images."""
        with self.clocked(candidate.name) as clock:
            return self.subject(candidate, view, clock), clock.seconds

    def subject(self, candidate: Candidate, view: View, clock: Clock) -> Subject:
        name, images = candidate.name, self.images

        def placed() -> Placed:
            return loaded(candidate, self.hardware, self.room, clock)

        known = identity(candidate, self.store, placed)

        def model() -> Placed:
            return verified(placed(), candidate, known.fingerprint, self.store)

        with clock.here(name, "gate"):
            own = techniques(
                known.fingerprint, name, view.pixels, self.attack.gradients, self.store, self.hardware, model
            )
        truth = images.labels if candidate.label_space == images.label_space else None
        classes = candidate.classes if truth is None else len(images.class_names)
        logits = self.store.open(
            "logits",
            {"images": view.digest, "model": known.fingerprint, "numerics": self.numerics(own.evaluation)},
            shape=(len(images.contents), classes),
            dtype="float32",
            chunk=view.pixels.chunk,
            name=name,
        )
        with self.store.lock("logits", logits.key):
            if logits.missing() or "warnings" not in logits.notes:
                self.classify(model(), own, view.pixels, logits, clock)
        notes = logits.notes
        cautions = [*notes["warnings"], *mixed_versions(logits), *known.warnings]
        clean = logits.read_all().argmax(axis=1)
        if truth is not None:
            preflight.check_accuracy(candidate, clean, truth, classes)
        return Subject(
            candidate=candidate,
            parameters=known.parameters,
            components=known.components,
            fingerprint=known.fingerprint,
            labelled=truth is not None,
            view=view,
            clean=clean,
            logits=logits,
            image_seconds=notes.get("image_seconds", 0.0),
            techniques=own,
            warnings=[f"{name}: {caution}" for caution in cautions],
        )

    def classify(self, placed: Placed, own: Techniques, pixels: StoredArray, logits: StoredArray, clock: Clock) -> None:
        """Preflight, and the clean logits that are missing."""
        name = placed.model.name
        work = prediction.EvaluationBatches([(pixels, {name: logits})], self.hardware.batch_size)
        few = torch.from_numpy(pixels.gather(np.arange(min(PREFLIGHT_IMAGES, pixels.rows))))
        check = prediction.Preflight(placed.model, logits.shape[1])
        with clock.here(name, "check"):
            self.loop(check, [few])
        logits.note(**asdict(check.checked))
        if count := work.images():
            logits.note_versions(self.hardware.versions)
            runner = placed.runner("evaluation", own.evaluation)
            module = prediction.Evaluation({name: runner}, clock, prediction.logits_of, "clean")
            self.predict(module, work, clock, name)
            refuse(work.sinks)
            logits.note(image_seconds=clock.read()[name, "clean"] / count)

    def source(self, subject: Subject) -> Source:
        """A model that is to be attacked on all images that it classifies as labelled; on all for other `labels`."""
        clean, pixels, images = subject.clean, subject.view.pixels, self.images
        rows = np.flatnonzero(clean == images.labels) if self.labels == "truth" else np.arange(len(clean))
        seeds = self.seeds[rows]
        threat = self.attack.threat
        goals = threat.goals(subject.logits.gather(rows), seeds) if threat.targeted else None
        labels = clean[rows] if goals is None else goals
        adversarial = self.store.open(
            "adversarial",
            {
                "images": subject.view.digest,
                "model": subject.fingerprint,
                "inputs": digest_of(rows, labels, seeds),
                **self.attack_facts(),
                "numerics": self.numerics(subject.techniques.attack),
            },
            shape=(len(rows), *pixels.shape[1:]),
            dtype="uint8",
            chunk=self.hardware.chunk,
            name=f"{subject.name} {type(self.attack).__name__}",
        )
        return Source(**vars(subject), rows=rows, adversarial=adversarial, goals=goals)

    @cached_property
    def seeds(self) -> np.ndarray:
        """The seed of each image, int64 [N]."""
        return random.image_seeds(self.seed, self.images.contents)

    def generate(self, source: Source, chunks: range, advance: Advance) -> Seconds:
        """Attack the images of some chunks that are not stored."""
        rows, adversarial, name = source.rows, source.adversarial, source.name
        inputs = rows, source.clean[rows] if source.goals is None else source.goals, self.seeds[rows]
        size, companions = self.hardware.batch_size, self.attack.companions
        work = prediction.AttackBatches(name, source.view.pixels, adversarial, inputs, chunks, size, companions)
        advance(sum(adversarial.length(chunk) for chunk in chunks) - work.images())
        with self.clocked(name) as clock:
            if len(work):
                adversarial.note_versions(self.hardware.versions)
                runner = self.loaded(source, clock).runner("attack", source.techniques.attack)
                self.predict(prediction.Generation(runner, self.attack, clock), work, clock, name, advance)
                refuse([work.sink])
        if work.images() >= adversarial.notes.get("images", 1):
            adversarial.note(seconds=sum(clock.of((*ALONE, "other"))), images=work.images())
        return clock.seconds

    def verify(self, source: Source, advance: Advance) -> list[str]:
        """Check and describe the adversarial images once all are stored; warnings about them."""
        adversarial = source.adversarial
        if len(source.rows) and "mean_linf" not in adversarial.notes:
            adversarial.note(**self.norms(source.view.pixels, source.rows, adversarial))
        _ = adversarial.digest  # is stored
        if adversarial.notes.get("dropped") and not adversarial.missing():
            adversarial.note(dropped=False)
        return [f"{source.name}: {warning}" for warning in mixed_versions(adversarial)]

    def norms(self, pixels: StoredArray, rows: np.ndarray, adversarial: StoredArray) -> dict[str, float]:
        """Means over the images of `perturbation_norms`; UserError where an image is outside the attack's budget."""
        parts, threat = [], self.attack.threat
        for chunk in range(adversarial.chunks):
            clean, attacked = pixels.gather(rows[adversarial.span(chunk)]), adversarial.read(chunk)
            norms = perturbation_norms(clean, attacked)
            if not (within := norms[threat.norm] <= threat.epsilon).all():
                raise UserError(
                    f"{type(self.attack).__name__} made {(~within).sum()} images outside its threat model, "
                    f"{threat}: fix the attack"
                )
            parts.append(norms)
        return {f"mean_{key}": float(np.concatenate([part[key] for part in parts]).mean()) for key in parts[0]}

    def evaluate(self, pairs: Sequence[tuple[Source, Sequence[Subject]]], advance: Advance) -> Evaluated:
        """Store what the targets of each source predict for its adversarial images, and for the clean images of its
        view where they have another one. Only targets whose predictions are missing are loaded. Each batch is read once
        for all of them."""
        clean, adversarial = self.outputs(pairs)
        count, name = sum(len(source.rows) * len(targets) for source, targets in pairs), pairs[0][0].name
        if not any(row.missing() for _, rows in (*clean, *adversarial) for row in rows.values()):
            advance(count)
            return Evaluated({}, Counter())
        size = self.hardware.batch_size
        first, second = (prediction.EvaluationBatches(jobs, size) for jobs in (clean, adversarial))
        advance(count - second.images())
        sinks = [*first.sinks, *second.sinks]
        with self.clocked(name) as clock:
            subjects = {target.name: target for _, targets in pairs for target in targets}
            runners = self.runners(subjects, sinks, clock)
            module = prediction.Evaluation(runners, clock, prediction.classes_of, "transfer")
            for work, counted in ((first, ignored), (second, advance)):
                self.predict(module, work, clock, name, counted)
        failed = {sink.name: sink.failed for sink in sinks if sink.failed is not None}
        self.failed |= failed
        return Evaluated(failed, clock.seconds)

    def outputs(self, pairs: Sequence[tuple[Source, Sequence[Subject]]]) -> tuple[list[Job], list[Job]]:
        """The clean images of other views, and the adversarial images, with the predictions that `evaluate` needs."""
        clean: dict[str, Job] = {}
        adversarial: list[Job] = []
        for source, targets in pairs:
            adversarial.append((source.adversarial, {each.name: self.predictions(source, each) for each in targets}))
            others = [target for target in targets if target.view.digest != source.view.digest]
            _, rows = clean.setdefault(source.view.digest, (source.view.pixels, {}))
            rows |= {each.name: self.predictions(source.view, each) for each in others}
        return [*clean.values()], adversarial

    def runners(
        self, subjects: Mapping[str, Subject], sinks: "Sequence[streaming.Sink]", clock: Clock
    ) -> dict[str, Runner]:
        """The models, by name, that have outputs to write; sinks of those that cannot be loaded state why."""
        runners = {}
        for name in dict.fromkeys(sink.name for sink in sinks):
            try:
                if name not in self.failed:
                    placed = self.loaded(subjects[name], clock)
                    runners[name] = placed.runner("evaluation", subjects[name].techniques.evaluation)
            except Damaged:
                raise
            except Exception as error:
                self.failed[name] = reason(error)
        for sink in sinks:
            sink.failed = self.failed.get(sink.name)
        return runners

    def loaded(self, subject: Subject, clock: Clock) -> Placed:
        """The model of a subject; Damaged where it is another one than its clean predictions are of."""
        placed = loaded(subject.candidate, self.hardware, self.room, clock)
        return verified(placed, subject.candidate, subject.fingerprint, self.store)

    def predictions(self, images: Source | View, target: Subject) -> StoredRow:
        """The stored classes that `target` predicts, int32: for the adversarial images of a source, [N'], or for the
        clean images of another model's view, [N]."""
        name, array = ("clean images", images.pixels) if isinstance(images, View) else (images.name, images.adversarial)
        table = self.store.table("predictions", {"images": images.digest}, columns=array.rows, dtype="int32", name=name)
        facts = {"target": target.fingerprint, "numerics": self.numerics(target.techniques.evaluation)}
        return table.row(facts, target.name)

    def predict(
        self,
        module: "LightningModule",
        work: "streaming.Batches",
        clock: Clock,
        name: str,
        advance: Advance = ignored,
    ) -> None:
        """Run Lightning's predict loop over batches that count for the model `name`; results are written at once."""
        if not len(work):
            return
        hardware = self.hardware
        batches = streaming.Ahead(work, clock, name, hardware.workers, pinned=hardware.device.type == "cuda")
        with streaming.Writer(clock, name, advance) as writer:
            self.loop(module, batches, writer)

    def loop(self, module: "LightningModule", batches: Any, *callbacks: "Callback") -> None:
        """Run Lightning's predict loop on the hardware of the run."""
        trainer = self.hardware.trainer(callbacks=[*callbacks], inference_mode=False, enable_progress_bar=False)
        trainer.predict(module, DataLoader(batches, batch_size=None), return_predictions=False)

    @contextmanager
    def clocked(self, name: str) -> Iterator[Clock]:
        """A clock for the body, which is work on the model `name`."""
        clock = Clock(self.hardware.device)
        with clock.whole(name):
            yield clock


def refuse(sinks: "Sequence[streaming.Sink]") -> None:
    """UserError where a model failed."""
    for sink in sinks:
        if sink.failed is not None:
            raise UserError(sink.failed)


def mixed_versions(array: StoredArray) -> list[str]:
    """A warning where chunks were computed with different versions of libraries."""
    mixed = array.mixed_versions()
    return [f"its stored {array.kind} were computed with {', '.join(mixed)}; last bits may differ"] if mixed else []


def digest_of(rows: np.ndarray, labels: np.ndarray, seeds: np.ndarray) -> str:
    """SHA-256 over the rows of the attacked images, their labels or goal classes, and their seeds, int [N'] each."""
    inputs = [rows.tolist(), labels.tolist(), seeds.tolist()]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
