"""Checks of a classifier on a few images, before any work."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.errors import UserError, one_line
from sat_exp.models.candidate import Candidate, Model

MASKED_GRADIENT_SHARE = 0.5
ROUNDING = 1e-2
"""Differences of logits, as a fraction of the largest, that half precision and the order of sums can cause."""


@dataclass(frozen=True)
class Checked:
    warnings: list[str]
    deterministic: bool  # whether logits and input gradients are equal, bit for bit, when they are computed twice


def check(model: Model, images: Tensor, classes: int) -> Checked:
    """What a few images (uint8 [B, C, H, W]) of a data set of `classes` classes show, on their device.

    UserError where the model has another number of classes, where logits or input gradients are not finite, and where
    logits computed again differ by more than rounding.
    """
    pixels = (images.float() / 255).requires_grad_()
    name = f"model {model.name}"
    try:
        logits = model.classifier(pixels)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UserError(f"{name} cannot take images of shape {tuple(images.shape[1:])}: {one_line(error)}") from error
    if logits.shape != (len(images), classes):
        raise UserError(f"{name} gives {logits.shape[-1]} classes, the data set has {classes}: choose another dataset=")
    if not torch.isfinite(logits).all():
        raise UserError(f"{name} gives logits that are not finite: check its weights and hardware.precision")
    again = model.classifier(pixels)
    if not torch.allclose(again, logits, rtol=0, atol=ROUNDING * float(logits.detach().abs().max())):
        raise UserError(f"{name} gives other logits for the same images: make it deterministic")
    losses = [F.cross_entropy(each, each.detach().argmax(dim=1), reduction="sum") for each in (logits, again)]
    gradients = [torch.autograd.grad(loss, pixels)[0] for loss in losses]
    if not torch.isfinite(gradients[0]).all():
        raise UserError(f"{name} has input gradients that are not finite: check hardware.precision")
    warnings = []
    if (zero := float((gradients[0] == 0).float().mean())) > MASKED_GRADIENT_SHARE:
        warnings.append(f"{zero:.0%} of the input gradient is exactly zero; gradient attacks will look weak")
    deterministic = torch.equal(again, logits) and torch.equal(*gradients)
    if not deterministic:
        warnings.append("results of this device differ in the last bits: another run will give other images")
    return Checked(warnings, deterministic)


def check_accuracy(model: Model | Candidate, predictions: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """UserError for trained weights whose accuracy is not above chance by three standard errors."""
    accuracy, chance = float((predictions == labels).mean()), 1 / classes
    if model.pretrained and len(labels) >= 20 and accuracy < chance + 3 * (chance / len(labels)) ** 0.5:
        share = f"{accuracy:.1%} of the clean images correctly, which is chance"
        advice = "check its weights, its preprocessing and the data set's class order"
        raise UserError(f"model {model.name} classifies {share}: {advice}")
