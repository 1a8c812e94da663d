"""VMI-FGSM: variance tuning (Wang & He, CVPR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sat_exp.attacks.momentum import MI, Copies, State, mean
from sat_exp.settings.types import NonNegative


@dataclass(frozen=True)
class VMI(MI):
    """MI with ∇J(x) + v, where v = mean ∇J(x + r) − ∇J(x) of the step before, over `copies` of r.

    r is uniform between −radius · epsilon and radius · epsilon; radius is β in the paper (algorithm 1).
    """

    copies: Copies = 20
    radius: NonNegative = 1.5
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return 1 + self.copies

    def estimate(self, at: State) -> Tensor:
        here, variance = at.gradient(at.x), at.kept
        around = mean(at.gradient(at.around(self.radius * self.epsilon, copy)) for copy in range(self.copies))
        at.kept = around - here
        return here + variance
