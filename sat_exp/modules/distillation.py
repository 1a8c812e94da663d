"""Knowledge distillation: a student learns from labels and from the logits of a teacher for the same images.

Sources: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network* (2015), for soft logits; Touvron et
al., *Training data-efficient image transformers & distillation through attention* (DeiT, ICML 2021, §4), for hard
labels and the distillation token.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from sat_exp.errors import UserError
from sat_exp.models import Classifier, Model
from sat_exp.modules.clock import Clock
from sat_exp.modules.hardware import Fitting, Hardware
from sat_exp.modules.streaming import Output, Sink, Writer
from sat_exp.modules.training import Training
from sat_exp.modules.training_images import TrainingImages
from sat_exp.progress import ignored
from sat_exp.store import Store

log = logging.getLogger(__name__)

CHUNK = 500  # images per stored chunk of a teacher's logits


@dataclass(frozen=True)
class Distillation:
    """The teacher's part of the loss. hard: its target is the teacher's class, not its probabilities at `temperature`.
    weight: its share in the loss; the rest is that of the labels."""

    hard: bool
    weight: float
    temperature: float

    def loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The mean loss over a batch of logits, [B, classes] each. hard: CE(ψ(Z_s), argmax Z_t). soft:
        τ² · KL(ψ(Z_t/τ) ‖ ψ(Z_s/τ)), whose gradient keeps its size when τ changes."""
        if self.hard:
            return F.cross_entropy(student, teacher.argmax(dim=1))
        student, teacher = (F.log_softmax(logits / self.temperature, dim=1) for logits in (student, teacher))
        return self.temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


class Distilling(Training):
    """One phase of training with labels and a teacher.

    Batches may have the teacher's logits for the plain and the mirrored image, float32 [B, views, classes]; otherwise
    the teacher predicts the same augmented pixels as the student. In a student with a distillation token, the class
    token learns from the labels and the distillation token from the teacher; other students learn both from one output.
    """

    def __init__(self, *training: Any, distillation: Distillation, teacher: Classifier) -> None:
        super().__init__(*training)
        self.distillation = distillation
        self.teacher = [teacher]  # in a list, so that neither checkpoints nor averages of the weights include it
        network: Any = self.classifier.network
        if hasattr(network, "set_distilled_training"):
            network.set_distilled_training(True)

    def on_fit_start(self) -> None:
        self.teacher[0].to(self.device)

    def loss(self, pixels: Tensor, targets: Tensor, flipped: Tensor, *others: Tensor) -> Tensor:
        """(1 − weight) · CE(student, labels) + weight · distillation(student, teacher)."""
        output, weight = self.classifier(pixels), self.distillation.weight
        class_logits, distillation_logits = output if isinstance(output, tuple) else (output, output)
        if others:
            teacher = others[0][torch.arange(len(pixels), device=pixels.device), flipped.long()]
        else:
            teacher = self.teacher[0](pixels)
        from_teacher = self.distillation.loss(distillation_logits, teacher)
        return (1 - weight) * self.by_labels(class_logits, targets) + weight * from_teacher


@dataclass(frozen=True)
class WithTeacherLogits(Dataset):
    """Images and labels with a teacher's logits for each image, float32 [N, views, classes]."""

    images: Dataset
    logits: Tensor

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return *self.images[index], self.logits[index]


class TeacherPrediction(LightningModule):
    """Logits of the plain and, if `views` is 2, the mirrored image, [B, views, classes]."""

    def __init__(self, teacher: Classifier, views: int) -> None:
        super().__init__()
        self.teacher, self.views, self.fitting = teacher, views, Fitting()

    def predict_step(self, batch: dict[str, Any], index: int) -> list[Output]:
        logits = self.fitting(self.step, batch["images"])
        return [Output(logits, logits.isfinite().all())]

    def step(self, images: Tensor) -> Tensor:
        views = [images, images.flip(-1)][: self.views]
        return torch.stack([self.teacher(view.float() / 255).float() for view in views], dim=1)


def teacher_logits(
    teacher: Model, classes: int, images: TrainingImages, views: int, store: Store, hardware: Hardware
) -> Tensor:
    """The teacher's logits for every training image, float32 [N, views, classes], see `TeacherPrediction`. They are
    computed once and stored; a damaged chunk is named in a warning and computed again."""
    number = len(images.training)  # type: ignore[arg-type]
    facts = {"training": images.digest, "views": views, "model": teacher.fingerprint, "numerics": hardware.in_effect}
    shape, name = (number, views, classes), f"{teacher.name} as teacher"
    stored = store.open("logits", facts, shape=shape, dtype="float32", chunk=CHUNK, name=name)
    with store.lock("teacher", stored.key):
        for reason in stored.damaged():
            log.warning("%s: it is computed again", reason)
        if missing := stored.missing():
            stored.note_versions(hardware.versions)
            spans = [range(number)[stored.span(chunk)] for chunk in missing]
            sink = Sink(teacher.name, stored, missing)
            batches = (
                {"images": torch.stack([images.training[index][0] for index in span]), "sinks": [sink]}
                for span in spans
            )
            with Writer(Clock(hardware.device), teacher.name, ignored) as writer:
                trainer = hardware.trainer(callbacks=[writer], enable_progress_bar=False)
                trainer.predict(TeacherPrediction(teacher.classifier, views), batches, return_predictions=False)
            if sink.failed is not None:
                raise UserError(f"teacher {teacher.name}: {sink.failed}")
    return torch.from_numpy(stored.read_all())
