"""SSA: spectrum simulation (Long et al., ECCV 2022)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sat_exp.attacks import random
from sat_exp.attacks.averaged import Averaged
from sat_exp.attacks.momentum import State
from sat_exp.settings.types import NonNegative, Share


@dataclass(frozen=True)
class SSA(Averaged):
    """MI with the mean of ∇ₓ J(D⁻¹(D(x + ξ) ⊙ M)) over `copies`, where D is the discrete cosine transform.

    ξ is normal with standard deviation noise · epsilon, M is uniform between 1 − rho and 1 + rho; noise is 1 in the
    paper. The authors' code leaves the derivative of the transform out, which algorithm 1 does not.
    """

    rho: Share = 0.5
    noise: NonNegative = 1.0
    version: ClassVar[int] = 1

    def sample(self, at: State, copy: int) -> Tensor:
        shape = at.x.shape[1:]
        added = self.noise * self.epsilon / 255 * random.normal(at.seeds, shape, at.stream(copy))
        mask = 1 + self.rho * (2 * random.uniform(at.seeds, shape, at.stream(copy, use=1)) - 1)
        return at.gradient(at.x, lambda pixels: masked(pixels + added, mask))


def masked(images: Tensor, mask: Tensor) -> Tensor:
    """The images [..., H, W] whose cosine transform is multiplied by `mask`."""
    rows, columns = (cosines(side).to(images) for side in images.shape[-2:])
    return rows.T @ (rows @ images @ columns.T * mask) @ columns


def cosines(count: int) -> Tensor:
    """The orthonormal discrete cosine transform of `count` values (DCT-II), float32 [count, count]."""
    places = torch.arange(count, dtype=torch.float64)
    matrix = torch.cos(math.pi / count * (places + 0.5) * places[:, None]) * math.sqrt(2 / count)
    matrix[0] /= math.sqrt(2)
    return matrix.float()
