"""Knowledge distillation: a student learns from the labels and from what a teacher says of the same images.

Sources: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network* (2015), for soft logits; Touvron et
al., *Training data-efficient image transformers & distillation through attention* (DeiT, ICML 2021, §4), for hard
labels and the distillation token.
"""

import logging
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from lightning import LightningModule
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from sat_exp.models import Classifier, Model
from sat_exp.modules.hardware import Hardware, in_halves
from sat_exp.modules.training import Phase, Recipe, Training
from sat_exp.modules.training_images import TrainingImages
from sat_exp.modules.writing import ChunkWriter
from sat_exp.settings import checked
from sat_exp.settings.types import Positive
from sat_exp.store import Store, StoredArray

log = logging.getLogger(__name__)

Weight = Annotated[float, Field(gt=0, le=1)]

CHUNK = 500
"""Images to a file of a teacher's answers."""


@dataclass(frozen=True)
class Distillation:
    """What a student is asked to take from its teacher.

    hard: the teacher's class is the target; else its probabilities at `temperature` are. weight: the share of that in
    the loss, the rest being the labels'. UserError for a number out of range.
    """

    hard: bool
    weight: Weight
    temperature: Positive

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "task")

    def loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Of logits [B, classes] each; mean over the batch.

        hard: CE(ψ(Z_s), argmax Z_t). soft: τ² · KL(ψ(Z_t/τ) ‖ ψ(Z_s/τ)), whose gradient keeps its size when τ changes.
        """
        if self.hard:
            return F.cross_entropy(student, teacher.argmax(dim=1))
        student, teacher = (F.log_softmax(logits / self.temperature, dim=1) for logits in (student, teacher))
        return self.temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


class Distilling(Training):
    """One phase of training by labels and a teacher.

    Batches carry the teacher's logits of the plain and the mirrored image, float32 [B, views, classes]; without, the
    teacher is asked about the very pixels that the student sees. A student with a distillation token answers the labels
    by its class token and the teacher by the other; elsewhere one answer is held against both.
    """

    teacher: list[Classifier]

    def __init__(
        self,
        classifier: Classifier,
        classes: int,
        recipe: Recipe,
        phase: Phase,
        *,
        distillation: Distillation,
        teacher: Classifier,
    ) -> None:
        super().__init__(classifier, classes, recipe, phase)
        self.distillation = distillation
        self.teacher = [teacher]  # in a list, so that neither checkpoints nor averages of the weights include it
        network: Any = classifier.network
        if hasattr(network, "set_distilled_training"):
            network.set_distilled_training(True)

    def on_fit_start(self) -> None:
        self.teacher[0].to(self.device)

    def loss(self, pixels: Tensor, targets: Tensor, flipped: Tensor, *others: Tensor) -> Tensor:
        """(1 − weight) · CE(student, labels) + weight · distillation(student, teacher)."""
        answer = self.classifier(pixels)
        to_labels, to_teacher = answer if isinstance(answer, tuple) else (answer, answer)
        rows = torch.arange(len(pixels), device=pixels.device)
        said = others[0][rows, flipped.long()] if others else self.asked(pixels)
        share = self.distillation.weight
        return (1 - share) * self.by_labels(to_labels, targets) + share * self.distillation.loss(to_teacher, said)

    @torch.no_grad()
    def asked(self, pixels: Tensor) -> Tensor:
        return self.teacher[0](pixels)


@dataclass(frozen=True)
class Taught(Dataset):
    """Images and labels with what a teacher says of each, float32 [N, views, classes]."""

    images: Dataset
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return *self.images[index], self.answers[index]


class Answering(LightningModule):
    """Lightning's predict loop over `Questions`: logits of the plain and the mirrored image, [B, views, classes]."""

    def __init__(self, teacher: Classifier, views: int) -> None:
        super().__init__()
        self.teacher, self.views = teacher, views

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"])

    def step(self, images: Tensor) -> Tensor:
        seen = [images, images.flip(-1)][: self.views]
        return torch.stack([self.teacher(view.float() / 255).float() for view in seen], dim=1)


@dataclass
class Questions(Dataset):
    """The images, in chunks of `output`, whose answers it still lacks."""

    images: Dataset
    output: StoredArray

    def __post_init__(self) -> None:
        self.work = self.output.missing()

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        span = self.output.span(self.work[position])
        images = torch.stack([self.images[index][0] for index in range(span.start, span.stop)])
        return {"images": images, "last_of": (self.output, self.work[position])}


def answers(
    teacher: Model, classes: int, images: TrainingImages, views: int, store: Store, hardware: Hardware
) -> Tensor:
    """The teacher's logits of every training image, plain and, where `views` is 2, mirrored: float32 [N, views,
    classes], computed once and kept in the store; a damaged chunk is named in a warning and computed again.
    """
    number = len(images.training)  # type: ignore[arg-type]
    kept = store.open(
        "logits",
        {"training": images.digest, "views": views, "model": teacher.fingerprint, "numerics": hardware.numerics},
        shape=(number, views, classes),
        dtype="float32",
        chunk=CHUNK,
        name=f"{teacher.name} as teacher",
    )
    with store.lock("answers", kept.key):
        for reason in kept.damaged():
            log.warning("%s: it is computed again", reason)
        questions = Questions(images.training, kept)
        if len(questions):
            kept.note_versions(hardware.versions)
            writer = ChunkWriter(lambda done: None)
            trainer = hardware.trainer(callbacks=[writer], enable_progress_bar=False)
            answering = Answering(teacher.classifier, views)
            trainer.predict(answering, DataLoader(questions, batch_size=None), return_predictions=False)
    return torch.from_numpy(kept.read_all())
