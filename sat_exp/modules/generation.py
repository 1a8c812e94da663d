"""Adversarial images of one classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning import LightningModule
from torch import Tensor

from sat_exp.models import Classifier
from sat_exp.modules.hardware import in_halves


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
