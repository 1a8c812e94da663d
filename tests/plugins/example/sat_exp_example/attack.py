"""Vertical stripes: a perturbation that needs no gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sat_exp.attacks import Attack, Threat
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

    def __call__(
        self,
        classifier: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
    ) -> Tensor:
        first = torch.tensor([int(generator.integers(2 * self.width)) for generator in generators])
        columns = first[:, None] + torch.arange(images.shape[-1])
        signs = 1 - 2 * (columns // self.width % 2)
        striped = images.to(torch.int16) + self.epsilon * signs[:, None, None, :].to(images.device)
        return striped.clamp(0, 255).to(torch.uint8)
