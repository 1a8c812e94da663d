"""L2T: learning to transform (Zhu et al., CVPR 2024)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks import random
from sat_exp.attacks.attack import mixed_in
from sat_exp.attacks.di import diverse
from sat_exp.attacks.draws import Draws, each
from sat_exp.attacks.momentum import MI, USES, Copies, State, mean
from sat_exp.attacks.shapes import dropped, resized, rotated, shuffled
from sat_exp.attacks.ssa import masked
from sat_exp.settings.types import NonNegative

STRENGTHS = 10
CHOICE = USES - 1  # the stream of the numbers by which operations are chosen
Few = Annotated[int, Field(ge=1, le=4)]


@dataclass(frozen=True)
class L2T(MI):
    """MI with the mean of ∇ₓ J(T(x)) over `copies` of T, which are `operations` of OPERATIONS in a row.

    Each image has logits θ, 0 at first; softmax θ is the probability of each operation, drawn with replacement. After
    a step θ ← θ + rate · ∇_θ mean p(T) · J(T(x)), where p(T) is the product of the probabilities (section 3.3). The
    authors' code has one θ for a batch, and some of its operations make several images; here each makes one at random.
    """

    copies: Copies = 5
    operations: Few = 2
    rate: NonNegative = 0.01
    companions: ClassVar[int] = 32
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        logits = at.kept + torch.zeros(len(at.x), len(OPERATIONS) * STRENGTHS, device=at.x.device)
        others = mixed_in(at.others) / 255
        gradients, slopes = [], []
        for copy in range(self.copies):
            chosen = drawn(logits, random.uniform(at.seeds, (self.operations,), at.stream(copy, CHOICE)))
            losses, gradient = self.sample(at, copy, chosen, others)
            gradients.append(gradient)
            slopes.append(losses[:, None] * slope(logits, chosen))
        at.kept = logits + self.rate * mean(slopes)
        return mean(gradients)

    def sample(self, at: State, copy: int, chosen: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        def transformed(image: Tensor, draws: Draws, numbers: list[int]) -> Tensor:
            for number in numbers:
                kind, strength = divmod(number, STRENGTHS)
                image = OPERATIONS[kind](image, draws, (strength + 1) / STRENGTHS, others)
            return image

        draws, plan = at.draws(copy), chosen.tolist()
        return at.losses_and_gradient(at.x, lambda pixels: each(transformed, pixels, draws, plan))


def drawn(logits: Tensor, numbers: Tensor) -> Tensor:
    """The operations, int64 [B, K], where uniform numbers [B, K] fall in the distribution softmax(logits)."""
    heaps = logits.softmax(dim=1).cumsum(dim=1)
    return torch.searchsorted(heaps, numbers * heaps[:, -1:]).clamp(max=logits.shape[1] - 1)


def slope(logits: Tensor, chosen: Tensor) -> Tensor:
    """∇ of the product of the probabilities of the chosen operations: p · Σ (e_k − softmax θ), [B, operations]."""
    shares = logits.softmax(dim=1)
    product = shares.gather(1, chosen).prod(dim=1, keepdim=True)
    return product * (F.one_hot(chosen, logits.shape[1]).sum(dim=1) - chosen.shape[1] * shares)


def turned(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    return rotated(image, 300 * strength / 2 ** draws.integer(0, 4))


def dimmed(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    return image / 2 ** draws.integer(0, round(STRENGTHS * strength) - 1)


def enlarged(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    return diverse(image, draws, 1.05 + 0.5 * strength)


def blocks_shuffled(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    return shuffled(image, draws, 2 + round(STRENGTHS * strength))


def mixed(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    added = 0.4 * strength * others[draws.integer(0, len(others) - 1)]
    return (image + added) / 2 ** draws.integer(0, 2)


def thinned(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    return dropped(image, draws, strength / 2)


def block_masked(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    """One of the blocks of a grid is black."""
    count = 1 + round(STRENGTHS * strength)
    mask = torch.ones_like(image)
    top, left = (draws.integer(0, count - 1) for _ in "hw")
    rows, columns = ([round(side * part / count) for part in range(count + 1)] for side in image.shape[1:])
    mask[:, rows[top] : rows[top + 1], columns[left] : columns[left + 1]] = 0
    return image * mask


def spectrum(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    added = 16 / 255 * draws.normal(image.shape)
    return masked(image + added, 1 + strength * (2 * draws.uniform(image.shape) - 1))


def cropped(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    ratio = strength + (1 - strength) * draws.integer(1, 5) / 5
    sides = [max(1, int(ratio * side)) for side in image.shape[1:]]
    top, left = ((side - inner) // 2 for side, inner in zip(image.shape[1:], sides, strict=True))
    return resized(image[:, top : top + sides[0], left : left + sides[1]], *image.shape[1:])


def moved(image: Tensor, draws: Draws, strength: float, others: Tensor) -> Tensor:
    """Down and to the right by a fraction of the side, black where nothing is."""
    share = strength / 2 * draws.integer(1, 5) / 5
    down, right = (int(share * side) for side in image.shape[1:])
    return F.pad(image, (right, 0, down, 0))[:, : image.shape[1], : image.shape[2]]


OPERATIONS = (
    turned,
    dimmed,
    enlarged,
    blocks_shuffled,
    mixed,
    thinned,
    block_masked,
    spectrum,
    cropped,
    moved,
)
"""Each is applied with the strengths 0.1, 0.2, …, 1.0; others: pixels in [0, 1], [P, C, H, W]."""
