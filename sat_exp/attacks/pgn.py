"""PGN: penalising the gradient norm (Ge et al., NeurIPS 2023)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sat_exp.attacks.averaged import Averaged
from sat_exp.attacks.momentum import State, normalised
from sat_exp.settings.types import NonNegative, Share


@dataclass(frozen=True)
class PGN(Averaged):
    """MI with the mean of (1 − balance) · ∇J(x′) + balance · ∇J(x″) over `copies` of x′ = x + r (algorithm 1).

    x″ = x′ − step_size · ∇J(x′)/mean|∇J(x′)|, and r is uniform between −radius · epsilon and radius · epsilon. radius
    is ζ/ε and balance is δ in the paper.
    """

    radius: NonNegative = 3.0
    balance: Share = 0.5
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return 2 * self.copies

    def sample(self, at: State, copy: int) -> Tensor:
        x = at.around(self.radius * self.epsilon, copy)
        here = at.gradient(x)
        below = at.gradient(x - self.step_size * normalised(here))
        return (1 - self.balance) * here + self.balance * below
