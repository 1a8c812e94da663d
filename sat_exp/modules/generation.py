"""Adversarial images of one classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from sat_exp.attacks import Attack
from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules.hardware import in_halves


class Generation(LightningModule):
    """Adversarial images, uint8 [B, C, H, W], from Lightning's predict loop over `AttackBatches`.

    UserError where a logit is not finite during the attack.
    """

    def __init__(self, classifier: Classifier, attack: Attack) -> None:
        super().__init__()
        self.classifier = classifier
        self.attack = attack

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"], batch["labels"], batch["seeds"])

    def step(self, images: Tensor, labels: Tensor, seeds: Sequence[tuple[int, int]]) -> Tensor:
        generators = [np.random.default_rng(seed) for seed in seeds]
        finite = torch.ones((), dtype=torch.bool, device=images.device)

        def watched(pixels: Tensor) -> Tensor:
            logits = self.classifier(pixels)
            finite.logical_and_(logits.detach().isfinite().all())  # read once: reading waits for the device
            return logits

        adversarial = self.attack(watched, images, labels, generators)
        if not finite:
            raise UserError("its logits are not finite under attack: check its weights and hardware.precision")
        return adversarial
