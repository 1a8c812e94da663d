"""What a classifier makes of stored images."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from sat_exp.models import Classifier
from sat_exp.modules.hardware import in_halves
from sat_exp.store import StoredArray


class Evaluation(LightningModule):
    """Lightning's predict loop over `EvaluationBatches`, giving logits [B, classes] or classes int32 [B]."""

    def __init__(self, classifier: Classifier, *, logits: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.logits = logits

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"])

    def step(self, images: Tensor) -> Tensor:
        logits = self.classifier(images.float() / 255).float()
        return logits if self.logits else logits.argmax(dim=1).int()


class EvaluationBatches(Dataset):
    """The batches of images whose outputs are missing, over any number of (images, output) pairs.

    A batch is a chunk of images, or the part of it that falls into a chunk of the output.
    """

    def __init__(self, jobs: Sequence[tuple[StoredArray, StoredArray]]) -> None:
        self.work: list[tuple[StoredArray, range, tuple[StoredArray, int] | None]] = []
        for images, output in jobs:
            for target in output.missing():
                start, stop = output.span(target).start, output.span(target).stop
                cuts = [start, *range((start // images.chunk + 1) * images.chunk, stop, images.chunk), stop]
                for first, last in pairwise(cuts):
                    self.work.append((images, range(first, last), (output, target) if last == stop else None))

    def images(self) -> int:
        """How many images there are to evaluate."""
        return sum(len(rows) for _, rows, _ in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        images, rows, last_of = self.work[position]
        return {"images": torch.from_numpy(images.gather(rows)), "last_of": last_of}
