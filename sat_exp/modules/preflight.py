"""The preflight on the device and in the precision of a run."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from sat_exp.models import Model, preflight


class Preflight(LightningModule):
    """Lightning's predict loop over one batch of images, uint8 [B, C, H, W]; `checked` is what it found."""

    checked: preflight.Checked

    def __init__(self, model: Model, classes: int) -> None:
        super().__init__()
        self.classifier = model.classifier
        self.model, self.classes = model, classes

    @torch.enable_grad()
    def predict_step(self, batch: Any, index: int) -> Tensor:
        self.checked = self.check(batch)
        return torch.tensor(self.checked.deterministic)

    def check(self, images: Tensor) -> preflight.Checked:
        """On all images, or on as many as the device's memory holds."""
        try:
            return preflight.check(self.model, images, self.classes)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
        torch.cuda.empty_cache()
        return self.check(images[: len(images) // 2])
