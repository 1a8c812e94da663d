"""Supervised training of a classifier."""

import torch
from lightning import LightningModule
from timm.optim import create_optimizer_v2
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from sat_exp.models import Classifier

SHIFT = 2


class Training(LightningModule):
    """Cross-entropy, a one-cycle schedule, any optimiser timm knows by name; `augmented`: images are randomly mirrored
    and shifted."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        classes: int,
        optimizer: str,
        learning_rate: float,
        weight_decay: float,
        augmented: bool,
    ) -> None:
        super().__init__()
        self.classifier = classifier.train().requires_grad_(True)
        self.accuracy = MulticlassAccuracy(classes, average="micro")
        self.optimizer, self.learning_rate, self.weight_decay = optimizer, learning_rate, weight_decay
        self.augmented = augmented

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        images = augment(images) if self.augmented else images
        loss = F.cross_entropy(self.classifier(images.float() / 255), labels)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.accuracy(self.classifier(images.float() / 255), labels)
        self.log("test/accuracy", self.accuracy, prog_bar=True)

    def configure_optimizers(self):
        optimizer = create_optimizer_v2(
            self.classifier.network, opt=self.optimizer, lr=self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.15,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def augment(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] → the same, each mirrored with probability ½ and shifted by up to SHIFT pixels."""
    flipped = torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, images.flip(-1), images)
    padded = F.pad(flipped, (SHIFT,) * 4)
    rows, columns = torch.randint(2 * SHIFT + 1, (2, len(images), 1), device=images.device)
    height, width = images.shape[-2:]
    rows = rows + torch.arange(height, device=images.device)
    columns = columns + torch.arange(width, device=images.device)
    picks = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picks, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
