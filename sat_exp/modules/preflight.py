"""The checks of a model before its measurement, on the device and in the precision of a run."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from sat_exp.models import Model, preflight


class Preflight(LightningModule):
    """`preflight.check` in Lightning's predict loop over one batch, uint8 [B, C, H, W]; `checked` is its result."""

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
        """The result for all images, or for as many as fit in the device's memory."""
        try:
            return preflight.check(self.model, images, self.classes)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
        torch.cuda.empty_cache()
        return self.check(images[: len(images) // 2])
