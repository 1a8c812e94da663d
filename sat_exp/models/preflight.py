"""What is checked of a classifier before any work is spent on it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.errors import UserError, one_line
from sat_exp.models.loading import Model

MASKED_GRADIENT_SHARE = 0.5


def check(model: Model, images: Tensor, classes: int) -> list[str]:
    """Check `model` on a few images (uint8 [B, C, H, W]) of a data set of `classes` classes.

    Returns warnings. Raises UserError where the class count differs, or logits are not finite or not deterministic.
    """
    pixels = (images.float() / 255).requires_grad_()
    try:
        logits = model.classifier(pixels)
    except RuntimeError as error:
        raise UserError(
            f"model {model.name} cannot take images of shape {tuple(images.shape[1:])}: {one_line(error)}"
        ) from error
    if logits.shape != (len(images), classes):
        raise UserError(
            f"model {model.name} gives {logits.shape[-1]} classes, the data set has {classes}: choose another dataset="
        )
    if not torch.isfinite(logits).all():
        raise UserError(
            f"model {model.name} gives logits that are not finite: check its weights and hardware.precision"
        )
    if not torch.equal(model.classifier(pixels), logits):
        raise UserError(f"model {model.name} gives other logits for the same images: it must be deterministic")
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(dim=1), reduction="sum"), pixels)
    if not torch.isfinite(gradient).all():
        raise UserError(f"model {model.name} has input gradients that are not finite: check hardware.precision")
    zero = float((gradient == 0).float().mean())
    if zero > MASKED_GRADIENT_SHARE:
        return [f"{zero:.0%} of the input gradient is exactly zero; gradient attacks will look weak"]
    return []


def check_accuracy(model: Model, predictions: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Refuse trained weights that do no better than chance, by three standard errors."""
    accuracy, chance = float((predictions == labels).mean()), 1 / classes
    if model.pretrained and len(labels) >= 20 and accuracy < chance + 3 * (chance / len(labels)) ** 0.5:
        raise UserError(
            f"model {model.name} gets {accuracy:.1%} of the clean images right, which is chance: "
            "its weights, preprocessing or the data set's class order are wrong"
        )
