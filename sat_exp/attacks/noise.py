"""Random signs: the control that shows what gradients add to a perturbation of the same size."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Network, Threat
from sat_exp.settings.types import Grid


@dataclass(frozen=True)
class Noise(Attack):
    """x ← clip(x + epsilon · s), each value of s drawn from −1 and 1; `epsilon` in units of 1/255."""

    epsilon: Grid
    version: ClassVar[int] = 2

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon)

    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        """Noisy images; `classifier` and `labels` are not used."""
        signs = 2 * random.integers(seeds, 0, 1, images.shape[1:]).to(torch.int16) - 1
        noisy = images.to(torch.int16) + self.epsilon * signs
        return noisy.clamp_(0, 255).to(torch.uint8)
