"""Iterative sign attacks with momentum in an L∞ ball (Dong et al., CVPR 2018), the base of most transfer attacks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Goal, Network, Threat
from sat_exp.attacks.draws import Draws
from sat_exp.settings.types import Grid, NonNegative, StepSize

Steps = Annotated[int, Field(ge=1, le=10_000)]
Copies = Annotated[int, Field(ge=1, le=255)]  # gradients per step that are averaged
Loss = Callable[[Tensor, Tensor], Tensor]  # logits [B, classes] and labels [B] → the loss of each image, [B]
TINY = torch.finfo(torch.float32).tiny
COPIES, USES = 1 << 8, 1 << 8  # streams of random numbers: a step has COPIES, and each of them USES


@dataclass
class State:
    """An attack at one step.

    x: the iterates, float32 [B, C, H, W], in units of 1/255. momentum: of the same form. step: from 0. kept: what an
    estimate keeps for the next step, 0 before the first. others: images to mix in, uint8 [P, C, H, W].
    """

    classifier: Network
    loss: Loss
    labels: Tensor
    seeds: Tensor
    others: Tensor | None
    x: Tensor
    momentum: Tensor
    step: int = 0
    kept: Any = 0.0

    def gradient(self, x: Tensor, transform: Network = lambda pixels: pixels) -> Tensor:
        """∇ₓ of the loss for transform(x), float32 [B, C, H, W]; `transform` takes and returns pixels in [0, 1]."""
        return self.losses_and_gradient(x, transform)[1]

    def losses_and_gradient(self, x: Tensor, transform: Network) -> tuple[Tensor, Tensor]:
        """The loss of each image, [B], and the gradient. Losses are summed, so that images do not depend on their
        batch."""
        pixels = (x / 255).requires_grad_()
        losses = self.loss(self.classifier(transform(pixels)), self.labels)
        (gradient,) = torch.autograd.grad(losses.sum(), pixels)
        return losses.detach(), gradient

    def stream(self, copy: int, use: int = 0) -> int:
        """The stream of the random numbers of one copy of this step, for one of its uses."""
        return (self.step * COPIES + copy) * USES + use

    def around(self, radius: float, copy: int) -> Tensor:
        """The iterates plus numbers that are uniform between −radius and radius, in units of 1/255."""
        return self.x + radius * (2 * random.uniform(self.seeds, self.x.shape[1:], self.stream(copy)) - 1)

    def draws(self, copy: int) -> list[Draws]:
        """Random numbers for each image, for one copy of this step."""
        return Draws.of(self.seeds, self.stream(copy))


@dataclass(frozen=True)
class MI(Attack):
    """g ← decay · g + ∇/mean|∇|, x ← clip(x + step_size · sign g), `steps` times within `epsilon` of the clean image.

    ∇ is the gradient of the cross-entropy, for a `goal` class of its negative. `epsilon` and `step_size` are in units
    of 1/255; the last iterate is rounded. The paper divides by the sum of |∇|, which gives the same signs. Subclasses
    give another `estimate` of the gradient.
    """

    epsilon: Grid
    step_size: StepSize = 1
    steps: Steps = 10
    decay: NonNegative = 1.0
    goal: Goal = "untargeted"
    version: ClassVar[int] = 1

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon, self.goal)

    @property
    def gradients(self) -> int:
        return self.steps * self.gradients_per_step

    @property
    def gradients_per_step(self) -> int:
        return 1

    @torch.enable_grad()
    def __call__(
        self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor, others: Tensor | None = None
    ) -> Tensor:
        clean = images.to(torch.float32)
        low, high = (clean - self.epsilon).clamp(min=0), (clean + self.epsilon).clamp(max=255)
        at = State(classifier, self.loss, labels, seeds, others, clean, torch.zeros_like(clean))
        for at.step in range(self.steps):
            momentum = self.decay * at.momentum + normalised(self.estimate(at))
            x = at.x + self.move(at, momentum)
            at.x, at.momentum = x.clamp(low, high), momentum
        return at.x.round().to(torch.uint8)

    def estimate(self, at: State) -> Tensor:
        """The gradient of a step, float32 [B, C, H, W]."""
        return at.gradient(at.x)

    def move(self, at: State, momentum: Tensor) -> Tensor:
        """The change of x by the new momentum, float32 [B, C, H, W], in units of 1/255."""
        return self.step_size * momentum.sign()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The value to increase for each image, [B]."""
        entropy = F.cross_entropy(logits, labels, reduction="none")
        return -entropy if self.threat.targeted else entropy


def normalised(gradient: Tensor) -> Tensor:
    """Each image [B, C, H, W] divided by the mean of its absolute values; 0 where it is 0."""
    return gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=TINY)


def mean(tensors: Iterable[Tensor]) -> Tensor:
    """The mean of tensors of one form; only their sum is kept in memory."""
    total, count = torch.zeros(()), 0
    for count, tensor in enumerate(tensors, 1):
        total = tensor + total if count > 1 else tensor
    return total / count
