"""Random signs: the control that says what a gradient adds to a perturbation of the same size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sat_exp.settings import checked
from sat_exp.settings.types import Grid


@dataclass(frozen=True)
class Noise:
    """x ← clip(x + epsilon · s), every s drawn from −1 and 1; `epsilon` in units of 1/255."""

    epsilon: Grid
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "attack")

    def __call__(
        self,
        classifier: Callable[[Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        generators: Sequence[np.random.Generator],
    ) -> Tensor:
        """Noisy images, uint8 [B, C, H, W], for `images` of the same form; `classifier` and `labels` are not asked."""
        signs = np.stack(
            [
                generator.choice(np.array([-1, 1], np.int16), image.shape)
                for image, generator in zip(images, generators, strict=True)
            ]
        )
        noisy = images.to(torch.int16) + self.epsilon * torch.from_numpy(signs).to(images.device)
        return noisy.clamp_(0, 255).to(torch.uint8)
