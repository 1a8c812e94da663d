"""Projected gradient descent (Madry et al. 2018), L∞, untargeted, on the 8-bit grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.settings import checked
from sat_exp.settings.types import Grid, Repeats, StepSize


@dataclass(frozen=True)
class PGD:
    """x ← clip(x + step_size · sign ∇ₓ CE(f(x), y)), `steps` times, within `epsilon` of the clean image.

    `epsilon` and `step_size` are in units of 1/255. With a whole step size every iterate is an 8-bit image, so that
    what is returned is exactly what was optimised; with a fractional one the last iterate is rounded once.
    """

    epsilon: Grid
    step_size: StepSize
    steps: Repeats
    random_start: bool
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "attack")

    @torch.enable_grad()
    def __call__(
        self,
        classifier: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
    ) -> Tensor:
        """Adversarial images, uint8 [B, C, H, W], for clean `images` of the same form and their `labels`, int64 [B].

        All randomness comes from `generators`, one an image. `classifier` maps float pixels in [0, 1] to logits; its
        parameters should be frozen.
        """
        clean = images.to(torch.float32, copy=True)
        low, high = (clean - self.epsilon).clamp(min=0), (clean + self.epsilon).clamp(max=255)
        x = (clean + self.start(images, generators)).clamp_(0, 255) if self.random_start else clean
        for _ in range(self.steps):
            pixels = (x / 255).requires_grad_()
            loss = F.cross_entropy(classifier(pixels), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, pixels)
            x.add_(gradient.sign_(), alpha=self.step_size).clamp_(low, high)
        return x.round().to(torch.uint8)

    def start(self, images: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
        """One perturbation an image, uniform over the whole numbers from −ε to ε."""
        noise = [
            generator.integers(-self.epsilon, self.epsilon, image.shape, np.int16, endpoint=True)
            for image, generator in zip(images, generators, strict=True)
        ]
        return torch.from_numpy(np.stack(noise)).to(images.device)
