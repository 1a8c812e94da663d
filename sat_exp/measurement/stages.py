"""The stages of a measurement, each on one loaded model: clean predictions, attack, predictions of a target.

They run in any process, and one that is interrupted or done twice leaves the same results in the store.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from sat_exp.attacks import Attack
from sat_exp.attacks.attack import perturbation_norms
from sat_exp.deferred import deferred
from sat_exp.errors import UserError
from sat_exp.measurement.identity import identity, verified
from sat_exp.measurement.subjects import Facts, Source, Subject, View
from sat_exp.models import Candidate, preflight
from sat_exp.modules.hardware import Hardware
from sat_exp.progress import Advance
from sat_exp.store import Store, StoredArray, StoredRow

if TYPE_CHECKING:
    from lightning import Callback, LightningModule

    from sat_exp.modules import prediction
else:
    prediction = deferred("sat_exp.modules.prediction")  # imports Lightning, which a full store does not need

PREFLIGHT_IMAGES = 8


@dataclass
class Stages:
    """The stages, with what they share. Fields as in `Measurement`."""

    images: Facts
    protocol: str
    attack: Attack
    store: Store
    hardware: Hardware
    seed: int
    labels: str

    def attack_facts(self) -> dict[str, Any]:
        """All that determines adversarial images except the model, and the images with their labels and seeds."""
        return {
            "attack": f"{type(self.attack).__module__}.{type(self.attack).__qualname__}",
            "version": self.attack.version,
            "numbers": dict(vars(self.attack)),
            "protocol": self.protocol,
            "numerics": self.hardware.numerics,
        }

    def clean(self, candidate: Candidate, view: View, advance: Advance) -> Subject:
        """Preflight, and clean logits of all images."""
        known, images = identity(candidate, self.store), self.images
        truth = images.labels if candidate.label_space == images.label_space else None
        classes = candidate.classes if truth is None else len(images.class_names)
        logits = self.store.open(
            "logits",
            {"images": view.digest, "model": known.fingerprint, "numerics": self.hardware.numerics},
            shape=(len(images.contents), classes),
            dtype="float32",
            chunk=view.pixels.chunk,
            name=candidate.name,
        )
        with self.store.lock("logits", logits.key):
            if logits.missing() or "warnings" not in logits.notes:
                model = verified(candidate, known.fingerprint, self.store)
                batches = prediction.EvaluationBatches([(view.pixels, logits)])
                few = torch.from_numpy(view.pixels.gather(np.arange(min(PREFLIGHT_IMAGES, len(images.contents)))))
                check = prediction.Preflight(model, classes)
                self.loop(check, [few])
                logits.note(**asdict(check.checked))
                if count := batches.images():
                    logits.note_versions(self.hardware.versions)
                    started = time.perf_counter()
                    self.predict(prediction.Evaluation(model.classifier, logits=True), batches)
                    logits.note(image_seconds=(time.perf_counter() - started) / count)
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
            warnings=[f"{candidate.name}: {caution}" for caution in cautions],
        )

    def source(self, subject: Subject) -> Source:
        """A model that is to be attacked on all images that it classifies as labelled; on all for other `labels`."""
        clean, pixels, images = subject.clean, subject.view.pixels, self.images
        rows = np.flatnonzero(clean == images.labels) if self.labels == "truth" else np.arange(len(clean))
        seeds = [(self.seed, int(images.contents[row][:16], 16)) for row in rows]
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
            },
            shape=(len(rows), *pixels.shape[1:]),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=f"{subject.name} {type(self.attack).__name__}",
        )
        return Source(**vars(subject), rows=rows, adversarial=adversarial, goals=goals)

    def generate(self, source: Source, chunks: range, advance: Advance) -> None:
        """Attack the images of some chunks that are not stored."""
        rows, adversarial = source.rows, source.adversarial
        labels = source.clean[rows] if source.goals is None else source.goals
        seeds = [(self.seed, int(self.images.contents[row][:16], 16)) for row in rows]
        work = prediction.AttackBatches(source.view.pixels, adversarial, rows, labels, seeds, chunks)
        if len(work):
            adversarial.note_versions(self.hardware.versions)
            started, model = time.perf_counter(), verified(source.candidate, source.fingerprint, self.store)
            self.predict(prediction.Generation(model.classifier, self.attack), work, advance)
            if work.images() >= adversarial.notes.get("images", 0):
                adversarial.note(seconds=time.perf_counter() - started, images=work.images())
        advance(sum(adversarial.length(chunk) for chunk in chunks) - work.images())

    def verify(self, source: Source, advance: Advance) -> list[str]:
        """Check and describe the adversarial images once all are stored; warnings about them."""
        adversarial = source.adversarial
        if len(source.rows) and "mean_linf" not in adversarial.notes:
            adversarial.note(**self.norms(source.view.pixels, source.rows, adversarial))
        _ = adversarial.digest  # is stored
        return [f"{source.name}: {warning}" for warning in mixed_versions(adversarial)]

    def norms(self, pixels: StoredArray, rows: np.ndarray, adversarial: StoredArray) -> dict[str, float]:
        """Means over the images of `perturbation_norms`; UserError where an image is outside the attack's budget."""
        parts = []
        for chunk in range(adversarial.chunks):
            clean, attacked = pixels.gather(rows[adversarial.span(chunk)]), adversarial.read(chunk)
            if not (within := self.attack.threat.allows(clean, attacked)).all():
                raise UserError(
                    f"{type(self.attack).__name__} made {(~within).sum()} images outside its threat model, "
                    f"{self.attack.threat}: fix the attack"
                )
            parts.append(perturbation_norms(clean, attacked))
        return {f"mean_{key}": float(np.concatenate([part[key] for part in parts]).mean()) for key in parts[0]}

    def evaluate(self, target: Subject, sources: Sequence[Source], advance: Advance) -> None:
        """Store what `target` predicts for the adversarial images of `sources` and for the clean images of their views.
        The target is loaded once, or not at all where everything is stored."""
        views = {source.view.digest: source.view for source in sources if source.view.digest != target.view.digest}
        clean = [(view.pixels, self.predictions(view, target)) for view in views.values()]
        attacked = [(source.adversarial, self.predictions(source, target)) for source in sources]
        left = sum(row.rows for _, row in attacked if row.missing())
        if any(row.missing() for _, row in [*clean, *attacked]):
            model = verified(target.candidate, target.fingerprint, self.store)
            module = prediction.Evaluation(model.classifier, logits=False)
            self.predict(module, prediction.EvaluationBatches(clean))
            self.predict(module, prediction.EvaluationBatches(attacked), advance)
        advance(sum(len(source.rows) for source in sources) - left)

    def predictions(self, images: Source | View, target: Subject) -> StoredRow:
        """The stored classes that `target` predicts, int32: for the adversarial images of a source, [N'], or for the
        clean images of another model's view, [N]."""
        name, array = ("clean images", images.pixels) if isinstance(images, View) else (images.name, images.adversarial)
        table = self.store.table("predictions", {"images": images.digest}, columns=array.rows, dtype="int32", name=name)
        return table.row({"target": target.fingerprint, "numerics": self.hardware.numerics}, target.name)

    def predict(
        self,
        module: "LightningModule",
        batches: "prediction.AttackBatches | prediction.EvaluationBatches",
        advance: Advance = lambda images: None,
    ) -> None:
        """Run Lightning's predict loop over `batches`; each result is written to the store at once."""
        self.loop(module, prediction.Ahead(batches), prediction.ChunkWriter(advance))

    def loop(self, module: "LightningModule", batches: Any, *callbacks: "Callback") -> None:
        """Run Lightning's predict loop on the hardware of the run, in its memory format."""
        if self.hardware.channels_last:
            module.to(memory_format=torch.channels_last)
        trainer = self.hardware.trainer(callbacks=[*callbacks], inference_mode=False, enable_progress_bar=False)
        trainer.predict(module, DataLoader(batches, batch_size=None), return_predictions=False)


def mixed_versions(array: StoredArray) -> list[str]:
    """A warning where chunks were computed with different versions of libraries."""
    mixed = array.mixed_versions()
    return [f"its stored {array.kind} were computed with {', '.join(mixed)}; last bits may differ"] if mixed else []


def digest_of(rows: np.ndarray, labels: np.ndarray, seeds: Sequence[tuple[int, int]]) -> str:
    """SHA-256 over the rows of the attacked images, their labels or goal classes, int [N'] each, and their seeds."""
    inputs = [rows.tolist(), labels.tolist(), [list(seed) for seed in seeds]]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
