"""NI-FGSM and SI-NI-FGSM: Nesterov's look-ahead, and scaled copies (Lin et al., ICLR 2020)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from sat_exp.attacks.momentum import MI, Copies, State, mean


@dataclass(frozen=True)
class NI(MI):
    """MI with the gradient at x + step_size · decay · g, where the momentum g alone would lead (section 3.1)."""

    version: ClassVar[int] = 1

    def estimate(self, at: State) -> Tensor:
        return at.gradient(self.ahead(at))

    def ahead(self, at: State) -> Tensor:
        return at.x + self.step_size * self.decay * at.momentum


@dataclass(frozen=True)
class SINI(NI):
    """NI with the mean of ∇ₓ J(x/2ⁱ) for i = 0, …, copies − 1 (section 3.2)."""

    copies: Copies = 5
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        x = self.ahead(at)
        return mean(at.gradient(x, partial(torch.mul, 0.5**copy)) for copy in range(self.copies))
