"""GRA: gradient relevance (Zhu et al., ICCV 2023)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from sat_exp.attacks.momentum import MI, Copies, State, mean, normalised
from sat_exp.settings.types import NonNegative

Decay = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class GRA(MI):
    """MI with s · G + (1 − s) · Ḡ, where G = ∇J(x), Ḡ = mean ∇J(x + r) over `copies` of r, and s is their cosine.

    r is uniform between −radius · epsilon and radius · epsilon. The step of a value is step_size · m, with m = 1/shrink
    at first, and m ← shrink · m whenever the sign of its momentum changes. radius is β and shrink is η in the paper.
    """

    copies: Copies = 20
    radius: NonNegative = 3.5
    shrink: Decay = 0.94
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return 1 + self.copies

    def estimate(self, at: State) -> Tensor:
        here = at.gradient(at.x)
        around = mean(at.gradient(at.around(self.radius * self.epsilon, copy)) for copy in range(self.copies))
        relevance = cosine(here, around)
        return relevance * here + (1 - relevance) * around

    def move(self, at: State, momentum: Tensor) -> Tensor:
        """As in the paper, the momentum before the first step has the sign 0, so that m is 1 in it."""
        changed = momentum.sign() != at.momentum.sign()
        before = at.kept if at.step else torch.full_like(momentum, 1 / self.shrink)
        at.kept = torch.where(changed, self.shrink * before, before)
        return self.step_size * at.kept * momentum.sign()


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosine of each two images [B, C, H, W], however short they are; [B, 1, 1, 1]."""
    first, second = (normalised(each).flatten(1) for each in (one, other))
    return torch.cosine_similarity(first, second).view(-1, 1, 1, 1)
