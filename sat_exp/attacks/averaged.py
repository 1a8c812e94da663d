"""The base of momentum attacks that average several gradients per step."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from sat_exp.attacks.draws import Draws, each
from sat_exp.attacks.momentum import MI, Copies, State, mean


@dataclass(frozen=True)
class Averaged(MI):
    """MI with the mean of `copies` samples of the gradient."""

    copies: Copies = 20

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        return mean(self.sample(at, copy) for copy in range(self.copies))

    @abstractmethod
    def sample(self, at: State, copy: int) -> Tensor:
        """One sample of the gradient, float32 [B, C, H, W]."""


@dataclass(frozen=True)
class Transformed(Averaged):
    """MI with the mean of ∇ₓ J(T(x)) over `copies` of a random transformation T of each image."""

    def sample(self, at: State, copy: int) -> Tensor:
        draws = at.draws(copy)
        return at.gradient(at.x, lambda pixels: each(self.transformed, pixels, draws))

    @abstractmethod
    def transformed(self, image: Tensor, draws: Draws) -> Tensor:
        """T of one image, [C, H, W], in pixels from 0 to 1."""
