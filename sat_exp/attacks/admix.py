"""Admix (Wang et al., ICCV 2021)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from sat_exp.attacks import random
from sat_exp.attacks.attack import mixed_in
from sat_exp.attacks.momentum import MI, Copies, State, mean
from sat_exp.settings.types import Share


@dataclass(frozen=True)
class Admix(MI):
    """MI with the mean of ∇ₓ J((x + portion · x′)/2ⁱ) over `mixed` images x′ and i = 0, …, scales − 1.

    The x′ of an image are drawn from the first 32 of all images, as in the authors' code whatever their class. portion
    is η, mixed is m₂ and scales is m₁ in the paper.
    """

    mixed: Copies = 3
    scales: Copies = 5
    portion: Share = 0.2
    companions: ClassVar[int] = 32
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.mixed * self.scales

    def estimate(self, at: State) -> Tensor:
        return mean(self.sample(at, copy) for copy in range(self.mixed))

    def sample(self, at: State, copy: int) -> Tensor:
        others = mixed_in(at.others)
        drawn = random.integers(at.seeds, 0, len(others) - 1, stream=at.stream(copy))
        added = self.portion * others[drawn] / 255
        mixtures = (partial(mixture, added=added, scale=0.5**power) for power in range(self.scales))
        return mean(at.gradient(at.x, each) for each in mixtures)


def mixture(pixels: Tensor, added: Tensor, scale: float) -> Tensor:
    return scale * (pixels + added)
