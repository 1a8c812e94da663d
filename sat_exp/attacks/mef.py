"""MEF: maximin expected flatness (Qiu et al., IEEE TIFS 2024)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sat_exp.attacks.momentum import MI, Copies, State, Steps, mean, normalised
from sat_exp.settings.types import NonNegative, Share


@dataclass(frozen=True)
class MEF(MI):
    """MI with mean ∇J(x + rᵢ + reach · epsilon · pᵢ) over i = 1, …, copies; pᵢ ← gᵢ/mean|gᵢ| − inner_decay · pᵢ.

    gᵢ is the i-th of these gradients, pᵢ is 0 at first, and rᵢ is uniform between −radius · epsilon and
    radius · epsilon. radius is γ and reach is ξ in the paper; signs and constants are those of the authors' code.
    """

    steps: Steps = 20
    decay: NonNegative = 0.5
    copies: Copies = 20
    radius: NonNegative = 2.0
    reach: NonNegative = 0.15
    inner_decay: Share = 0.9
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        inner = at.kept if at.step else [torch.zeros_like(at.x)] * self.copies
        found = [self.sample(at, copy, each) for copy, each in enumerate(inner)]
        at.kept = [normalised(g) - self.inner_decay * p for g, p in zip(found, inner, strict=True)]
        return mean(found)

    def sample(self, at: State, copy: int, inner: Tensor) -> Tensor:
        near = at.around(self.radius * self.epsilon, copy)
        return at.gradient(near + self.reach * self.epsilon * inner)
