"""Vertical stripes: a perturbation that needs no gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sat_exp.attacks import Attack, Threat, random
from sat_exp.settings.types import Count, Grid


@dataclass(frozen=True)
class Stripes(Attack):
    """x ← clip(x ± epsilon), the sign of a column changing every `width` columns from a random column on."""

    epsilon: Grid
    width: Count = 2
    version: ClassVar[int] = 1

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon)

    def __call__(self, classifier: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        first = random.integers(seeds, 0, 2 * self.width - 1)
        columns = first[:, None] + torch.arange(images.shape[-1], device=images.device)
        signs = 1 - 2 * (columns // self.width % 2)
        striped = images.to(torch.int16) + self.epsilon * signs[:, None, None, :]
        return striped.clamp(0, 255).to(torch.uint8)
