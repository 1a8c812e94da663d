"""Modules of Lightning's predict loop: adversarial images, logits or classes, and the checks of a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from sat_exp.attacks import Attack
from sat_exp.errors import UserError
from sat_exp.models import Classifier, Model, preflight
from sat_exp.modules.hardware import in_halves


class Evaluation(LightningModule):
    """Logits [B, classes] or predicted classes int32 [B] of the images of `EvaluationBatches`.

    UserError where a logit is not finite.
    """

    def __init__(self, classifier: Classifier, *, logits: bool) -> None:
        super().__init__()
        self.classifier, self.logits = classifier, logits

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"])

    def step(self, images: Tensor) -> Tensor:
        logits = self.classifier(images.float() / 255).float()
        if not logits.isfinite().all():
            raise UserError("its logits are not finite for some images: check its weights and hardware.precision")
        return logits if self.logits else logits.argmax(dim=1).int()


class Generation(LightningModule):
    """Adversarial images, uint8 [B, C, H, W], of the images of `AttackBatches`.

    UserError where a logit is not finite during the attack.
    """

    def __init__(self, classifier: Classifier, attack: Attack) -> None:
        super().__init__()
        self.classifier, self.attack = classifier, attack

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"], batch["labels"], batch["seeds"])

    def step(self, images: Tensor, labels: Tensor, seeds: Sequence[tuple[int, int]]) -> Tensor:
        finite = torch.ones((), dtype=torch.bool, device=images.device)

        def watched(pixels: Tensor) -> Tensor:
            logits = self.classifier(pixels)
            finite.logical_and_(logits.detach().isfinite().all())  # read once: reading waits for the device
            return logits

        adversarial = self.attack(watched, images, labels, [np.random.default_rng(seed) for seed in seeds])
        if not finite:
            raise UserError("its logits are not finite under attack: check its weights and hardware.precision")
        return adversarial


class Preflight(LightningModule):
    """`preflight.check` for images uint8 [B, C, H, W], or for as many as fit in the device's memory.

    checked: the result, after the loop.
    """

    checked: preflight.Checked

    def __init__(self, model: Model, classes: int) -> None:
        super().__init__()
        self.classifier = model.classifier
        self.model, self.classes = model, classes

    @torch.enable_grad()
    def predict_step(self, batch: Tensor, index: int) -> Tensor:
        try:
            self.checked = preflight.check(self.model, batch, self.classes)
            return torch.tensor(self.checked.deterministic)  # Lightning warns of None
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        torch.cuda.empty_cache()
        return self.predict_step(batch[: len(batch) // 2], index)
