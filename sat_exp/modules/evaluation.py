"""Logits or predicted classes of stored images."""

from typing import Any

from lightning import LightningModule
from torch import Tensor

from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules.hardware import in_halves


class Evaluation(LightningModule):
    """Logits [B, classes] or predicted classes int32 [B] from Lightning's predict loop over `EvaluationBatches`.

    UserError where a logit is not finite.
    """

    def __init__(self, classifier: Classifier, *, logits: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.logits = logits

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"])

    def step(self, images: Tensor) -> Tensor:
        logits = self.classifier(images.float() / 255).float()
        if not logits.isfinite().all():
            raise UserError("its logits are not finite for some images: check its weights and hardware.precision")
        return logits if self.logits else logits.argmax(dim=1).int()
