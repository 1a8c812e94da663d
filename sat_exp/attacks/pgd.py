"""Projected gradient descent (Madry et al. 2018) in an L∞ ball, untargeted, on the 8-bit grid."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Network, Threat
from sat_exp.settings.types import Grid, Repeats, StepSize


@dataclass(frozen=True)
class PGD(Attack):
    """x ← clip(x + step_size · sign ∇ₓ CE(f(x), y)), `steps` times, within `epsilon` of the clean image.

    `epsilon` and `step_size` are in units of 1/255. With a whole step size every iterate is an 8-bit image, so that
    the result is exactly what was optimised. With a fractional one the last iterate is rounded.
    """

    epsilon: Grid
    step_size: StepSize = 1
    steps: Repeats = 50
    random_start: bool = True
    version: ClassVar[int] = 2

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon)

    @torch.enable_grad()
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        clean = images.to(torch.float32, copy=True)
        low, high = (clean - self.epsilon).clamp(min=0), (clean + self.epsilon).clamp(max=255)
        x = (clean + self.start(images, seeds)).clamp_(0, 255) if self.random_start else clean
        for _ in range(self.steps):
            pixels = (x / 255).requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss(classifier(pixels), labels), pixels)
            x.add_(gradient.sign_(), alpha=self.step_size).clamp_(low, high)
        return x.round().to(torch.uint8)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The value to increase: the cross-entropy, as a sum, so that images do not depend on their batch."""
        return F.cross_entropy(logits, labels, reduction="sum")

    def start(self, images: Tensor, seeds: Tensor) -> Tensor:
        """One perturbation per image, uniform over the whole numbers from −epsilon to epsilon; int64 [B, C, H, W]."""
        return random.integers(seeds, -self.epsilon, self.epsilon, images.shape[1:]).view(images.shape)
