"""TI-FGSM: translation invariance (Dong et al., CVPR 2019)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks.momentum import MI, State

Kernel = Annotated[int, Field(ge=1, le=101)]
SIGMAS = 3  # standard deviations from the middle of the kernel to its edge


@dataclass(frozen=True)
class TI(MI):
    """MI with W ∗ ∇J(x), where W is a Gaussian of `kernel` × `kernel` values; an odd `kernel` has a middle.

    Its edge is three standard deviations from its middle; outside of the image the gradient is zero.
    """

    kernel: Kernel = 15
    version: ClassVar[int] = 1

    def estimate(self, at: State) -> Tensor:
        gradient = at.gradient(at.x)
        weights = gaussian(self.kernel).to(gradient)
        rows = F.conv2d(gradient.flatten(0, 1)[:, None], weights.view(1, 1, -1, 1), padding="same")
        return F.conv2d(rows, weights.view(1, 1, 1, -1), padding="same").view_as(gradient)


def gaussian(count: int) -> Tensor:
    """`count` values of the normal density from −3 to 3, with sum 1."""
    density = torch.exp(-torch.linspace(-SIGMAS, SIGMAS, count).square() / 2)
    return density / density.sum()
