"""Projected gradient descent in an L∞ ball that leads to a goal class, on the 8-bit grid."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sat_exp.attacks.attack import Policy, Threat
from sat_exp.attacks.pgd import PGD


@dataclass(frozen=True)
class TargetedPGD(PGD):
    """PGD with x ← clip(x − step_size · sign ∇ₓ CE(f(x), t)), where t is the goal class (Kurakin et al. 2017).

    `goal` is how t is chosen: `random`, `least_likely` or `next`, see `Threat`. The other settings are those of `PGD`.
    """

    goal: Policy = "random"
    version: ClassVar[int] = 2

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon, self.goal)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The value to increase: the negative cross-entropy of the goal classes."""
        return -super().loss(logits, labels)
