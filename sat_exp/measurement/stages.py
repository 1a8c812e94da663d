"""The stages of a measurement, each on one loaded model: clean predictions, attack, predictions of a target."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule
from torch.utils.data import DataLoader

from sat_exp.attacks import Attack
from sat_exp.attacks.attack import perturbation_norms
from sat_exp.errors import UserError
from sat_exp.measurement.subjects import Source, Subject, View, Views
from sat_exp.models import Candidate, Model, preflight
from sat_exp.modules import prediction
from sat_exp.modules.hardware import Hardware
from sat_exp.progress import Advance
from sat_exp.store import Store, StoredArray, StoredRow

PREFLIGHT_IMAGES = 8


@dataclass
class Stages:
    """The stages, with what they share. Fields as in `Measurement`; `warnings` grow."""

    views: Views
    attack: Attack
    store: Store
    hardware: Hardware
    seed: int
    labels: str
    warnings: list[str] = field(default_factory=list)

    def attack_facts(self) -> dict[str, Any]:
        """All that determines adversarial images except the model, and the images with their labels and seeds."""
        return {
            "attack": f"{type(self.attack).__module__}.{type(self.attack).__qualname__}",
            "version": self.attack.version,
            "numbers": dict(vars(self.attack)),
            "protocol": self.views.protocol,
            "numerics": self.hardware.numerics,
        }

    def clean(self, model: Model, candidate: Candidate, view: View) -> Subject:
        """Preflight, and clean logits of all images. model: the loaded `candidate`."""
        images = self.views.images
        truth = images.labels if candidate.label_space == images.label_space else None
        classes = candidate.classes if truth is None else len(images.class_names)
        logits = self.store.open(
            "logits",
            {"images": view.digest, "model": model.fingerprint, "numerics": self.hardware.numerics},
            shape=(len(images), classes),
            dtype="float32",
            chunk=view.pixels.chunk,
            name=model.name,
        )
        with self.store.lock("logits", logits.key):
            batches = prediction.EvaluationBatches([(view.pixels, logits)])
            if len(batches) or "warnings" not in logits.notes:
                few = torch.from_numpy(view.pixels.gather(np.arange(min(PREFLIGHT_IMAGES, len(images)))))
                check = prediction.Preflight(model, classes)
                self.loop(check, [few])
                logits.note(**asdict(check.checked))
            if len(batches):
                logits.note_versions(self.hardware.versions)
                self.predict(prediction.Evaluation(model.classifier, logits=True), batches)
        self.warnings += [f"{model.name}: {warning}" for warning in logits.notes["warnings"]]
        self.warn_of_versions(model.name, logits)
        clean = logits.read_all().argmax(axis=1)
        if truth is not None:
            preflight.check_accuracy(model, clean, truth, classes)
        return Subject(
            candidate=candidate,
            parameters=model.parameters,
            components=self.components(model, candidate),
            fingerprint=model.fingerprint,
            labelled=truth is not None,
            view=view,
            clean=clean,
            logits=logits,
        )

    def components(self, model: Model, candidate: Candidate) -> dict[str, Any]:
        """The model's components; with a warning only the stated ones where the others cannot be derived."""
        try:
            return candidate.components(model.classifier.network)
        except UserError as error:
            self.warnings.append(f"{model.name}: {error}")
            return candidate.stated_components

    def attacked(self, model: Model, candidate: Candidate, view: View, bar: Advance) -> Source:
        """Adversarial images of all images that the model classifies as labelled; of all images for other `labels`."""
        subject = self.clean(model, candidate, view)
        clean, pixels, images = subject.clean, view.pixels, self.views.images
        rows = np.flatnonzero(clean == images.labels) if self.labels == "truth" else np.arange(len(clean))
        seeds = [(self.seed, int(self.views.contents[row][:16], 16)) for row in rows]
        threat = self.attack.threat
        goals = threat.goals(subject.logits.gather(rows), seeds) if threat.targeted else None
        labels = clean[rows] if goals is None else goals
        adversarial = self.store.open(
            "adversarial",
            {"images": view.digest, "model": model.fingerprint, "inputs": digest_of(rows, labels, seeds)}
            | self.attack_facts(),
            shape=(len(rows), *pixels.shape[1:]),
            dtype="uint8",
            chunk=self.hardware.batch_size,
            name=f"{model.name} {type(self.attack).__name__}",
        )
        work = prediction.AttackBatches(pixels, adversarial, rows, labels, seeds)
        if len(work):
            adversarial.note_versions(self.hardware.versions)
            started = time.perf_counter()
            self.predict(prediction.Generation(model.classifier, self.attack), work, bar)
            if work.images() >= adversarial.notes.get("images", 0):
                adversarial.note(seconds=time.perf_counter() - started, images=work.images())
        if len(rows) and "mean_linf" not in adversarial.notes:
            adversarial.note(**self.norms(pixels, rows, adversarial))
        self.warn_of_versions(model.name, adversarial)
        bar(len(images) - work.images())
        return Source(**vars(subject), rows=rows, adversarial=adversarial, goals=goals)

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

    def evaluate(self, target: Subject, sources: Sequence[Source], bar: Advance) -> None:
        """Store what `target` predicts for the adversarial images of `sources` and for the clean images of their views.
        The target is loaded once, or not at all where everything is stored."""
        views = {source.view.digest: source.view for source in sources if source.view.digest != target.view.digest}
        clean = prediction.EvaluationBatches([(view.pixels, self.predictions(view, target)) for view in views.values()])
        batches = prediction.EvaluationBatches(
            [(source.adversarial, self.predictions(source, target)) for source in sources]
        )
        if len(batches) + len(clean):
            module = prediction.Evaluation(target.candidate.load().classifier, logits=False)
            self.predict(module, clean)
            self.predict(module, batches, bar)
        bar(sum(len(source.rows) for source in sources) - batches.images())

    def predictions(self, images: Source | View, target: Subject) -> StoredRow:
        """The stored classes that `target` predicts, int32: for the adversarial images of a source, [N'], or for the
        clean images of another model's view, [N]."""
        name, array = ("clean images", images.pixels) if isinstance(images, View) else (images.name, images.adversarial)
        table = self.store.table("predictions", {"images": images.digest}, columns=array.rows, dtype="int32", name=name)
        return table.row({"target": target.fingerprint, "numerics": self.hardware.numerics}, target.name)

    def predict(
        self,
        module: LightningModule,
        batches: prediction.AttackBatches | prediction.EvaluationBatches,
        advance: Advance = lambda images: None,
    ) -> None:
        """Run Lightning's predict loop over `batches`; each result is written to the store at once."""
        self.loop(module, prediction.Ahead(batches), prediction.ChunkWriter(advance))

    def loop(self, module: LightningModule, batches: Any, *callbacks: Callback) -> None:
        """Run Lightning's predict loop on the hardware of the run, in its memory format."""
        if self.hardware.channels_last:
            module.to(memory_format=torch.channels_last)
        trainer = self.hardware.trainer(callbacks=[*callbacks], inference_mode=False, enable_progress_bar=False)
        trainer.predict(module, DataLoader(batches, batch_size=None), return_predictions=False)

    def warn_of_versions(self, name: str, array: StoredArray) -> None:
        if mixed := array.mixed_versions():
            self.warnings.append(
                f"{name}: its stored {array.kind} were computed with {', '.join(mixed)}; last bits may differ"
            )


def digest_of(rows: np.ndarray, labels: np.ndarray, seeds: Sequence[tuple[int, int]]) -> str:
    """SHA-256 over the rows of the attacked images, their labels or goal classes, int [N'] each, and their seeds."""
    inputs = [rows.tolist(), labels.tolist(), [list(seed) for seed in seeds]]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
