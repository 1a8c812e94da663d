"""Projected gradient descent (Madry et al. 2018) in an L2 ball, untargeted."""

from dataclasses import dataclass
from math import floor
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Network, Threat
from sat_exp.settings.types import Repeats

Length = Annotated[float, Field(ge=0, le=1e6)]
TINY = torch.finfo(torch.float32).tiny
HALVINGS = 24  # steps of the search for the scale of a perturbation: as many as float32 has bits


@dataclass(frozen=True)
class L2PGD(Attack):
    """x ← Π(x + step_size · g/‖g‖₂) with g = ∇ₓ CE(f(x), y), `steps` times; Π projects on ‖x − x₀‖₂ ≤ epsilon.

    `epsilon` and `step_size` are Euclidean lengths in units of 1/255; pixels stay between 0 and 255. Only the last
    iterate is rounded. Its perturbation is scaled down first, as little as keeps the rounded one within epsilon.
    """

    epsilon: Length
    step_size: Length = 76.5
    steps: Repeats = 50
    random_start: bool = True
    version: ClassVar[int] = 2

    @property
    def threat(self) -> Threat:
        return Threat("l2", self.epsilon)

    @torch.enable_grad()
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        clean = images.to(torch.float32)
        x = (clean + self.start(images, seeds)).clamp(0, 255) if self.random_start else clean
        for _ in range(self.steps):
            pixels = (x / 255).requires_grad_()
            loss = F.cross_entropy(classifier(pixels), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, pixels)
            x = x + self.step_size * direction(gradient)
            x = (clean + projected(x - clean, self.epsilon)).clamp(0, 255)
        return (clean + rounded(x - clean, self.epsilon)).to(torch.uint8)

    def start(self, images: Tensor, seeds: Tensor) -> Tensor:
        """One perturbation per image, uniform in the ball of radius epsilon; float32 [B, C, H, W]."""
        shape = images.shape[1:]
        radii = self.epsilon * random.uniform(seeds, stream=1).double() ** (1 / shape.numel())
        return radii.float().view(-1, 1, 1, 1) * direction(random.normal(seeds, shape))


def length(vectors: Tensor) -> Tensor:
    """The Euclidean length of each image, [B, 1, 1, 1]."""
    return torch.linalg.vector_norm(vectors, dim=(1, 2, 3), keepdim=True)


def direction(vectors: Tensor) -> Tensor:
    """Each image [B, C, H, W] at length 1; 0 where it is 0. Gradients whose squares would underflow are kept."""
    scaled = vectors / vectors.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=TINY)
    return scaled / length(scaled).clamp(min=TINY)


def projected(perturbations: Tensor, epsilon: float) -> Tensor:
    """Each perturbation [B, C, H, W], shortened to length epsilon where it is longer."""
    return perturbations * (epsilon / length(perturbations).clamp(min=TINY)).clamp(max=1)


def rounded(perturbations: Tensor, epsilon: float) -> Tensor:
    """round(s · δ) for each perturbation δ, with the largest s in [0, 1] that keeps its length at most epsilon.

    That length does not fall with s, so that bisection finds s. Squared lengths are compared exactly, as whole numbers.
    """

    def within(scale: Tensor) -> Tensor:
        squares = (scale * perturbations).round().to(torch.int64).square().sum(dim=(1, 2, 3), keepdim=True)
        return squares <= floor(epsilon**2)

    low = torch.zeros_like(perturbations[:, :1, :1, :1])
    high = torch.ones_like(low)
    low = torch.where(within(high), high, low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = within(middle)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return (low * perturbations).round()
