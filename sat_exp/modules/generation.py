"""Adversarial images of one classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from sat_exp.models import Classifier
from sat_exp.modules.hardware import in_halves
from sat_exp.store import StoredArray


class Generation(LightningModule):
    """Lightning's predict loop over `AttackBatches`, giving adversarial images uint8 [B, C, H, W]."""

    def __init__(self, classifier: Classifier, attack: Any) -> None:
        super().__init__()
        self.classifier = classifier
        self.attack = attack

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"], batch["labels"], batch["seeds"])

    def step(self, images: Tensor, labels: Tensor, seeds: Sequence[tuple[int, int]]) -> Tensor:
        generators = [np.random.default_rng(seed) for seed in seeds]
        return self.attack(self.classifier, images, labels, generators)


@dataclass
class AttackBatches(Dataset):
    """The batches of an attack that `output` still lacks: the images at `rows` of `pixels`, in chunks of `output`.

    seeds: one a row, for everything random about that image, so that neither batches nor their order matter.
    """

    pixels: StoredArray
    output: StoredArray
    rows: np.ndarray
    labels: np.ndarray
    seeds: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        self.work = self.output.missing()

    def images(self) -> int:
        """How many images there are to attack."""
        return sum(self.output.length(chunk) for chunk in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        span = self.output.span(self.work[position])
        return {
            "images": torch.from_numpy(self.pixels.gather(self.rows[span])),
            "labels": torch.from_numpy(self.labels[span]),
            "seeds": self.seeds[span],
            "last_of": (self.output, self.work[position]),
        }
