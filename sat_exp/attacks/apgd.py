"""Auto-PGD (Croce & Hein, ICML 2020) in an L∞ ball: a step size that adapts to the loss."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Goal, Network, Threat
from sat_exp.errors import UserError
from sat_exp.settings.types import Grid, Repeats

MOMENTUM = 0.75
INCREASES = 0.75  # up to this share of steps that increase the loss, the step size is halved; in the paper, below it


@dataclass(frozen=True)
class APGDCE(Attack):
    """Algorithm 1 with the cross-entropy: steps of 2 · epsilon at first, halved at `checkpoints` where the loss stalls.

    The result is the iterate with the greatest loss, rounded. `epsilon` is in units of 1/255. There is one start and
    no restart; random_start is uniform in the ball.
    """

    epsilon: Grid
    steps: Repeats = 100
    random_start: bool = True
    goal: Goal = "untargeted"
    version: ClassVar[int] = 1

    @property
    def threat(self) -> Threat:
        return Threat("linf", self.epsilon, self.goal)

    @property
    def gradients(self) -> int:
        return self.steps + 1

    @torch.enable_grad()
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        clean = images.to(torch.float32)
        low, high = (clean - self.epsilon).clamp(min=0), (clean + self.epsilon).clamp(max=255)
        truth = self.predicted(classifier, clean)

        def evaluated(x: Tensor) -> tuple[Tensor, Tensor]:
            pixels = (x / 255).requires_grad_()
            losses = self.loss(classifier(pixels), labels, truth)
            (gradient,) = torch.autograd.grad(losses.sum(), pixels)
            return losses.detach(), gradient

        x = before = (clean + self.start(images, seeds)).clamp(0, 255) if self.random_start else clean
        loss, gradient = evaluated(x)
        best = Best(loss, x, gradient)
        size = torch.full_like(x[:, :1, :1, :1], 2.0 * self.epsilon)
        steady = torch.zeros_like(loss, dtype=torch.bool)  # whether the step size stayed at the last checkpoint
        reference, increases = best.loss, torch.zeros_like(loss)
        checks = checkpoints(self.steps)
        ends = {stop: stop - start for start, stop in pairwise(checks)}
        for step in range(self.steps):
            proposed = (x + size * gradient.sign()).clamp(low, high)
            share = MOMENTUM if step else 1.0
            x, before = (x + share * (proposed - x) + (1 - share) * (x - before)).clamp(low, high), x
            previous, (loss, gradient) = loss, evaluated(x)
            increases += loss > previous
            best = best.better(Best(loss, x, gradient))
            if length := ends.get(step + 1):
                stalled = steady & (reference >= best.loss)
                halved = (increases <= INCREASES * length) | stalled
                steady, reference, increases = ~halved, best.loss, torch.zeros_like(loss)
                chosen = halved.view(-1, 1, 1, 1)
                size = torch.where(chosen, size / 2, size)
                x, gradient = torch.where(chosen, best.x, x), torch.where(chosen, best.gradient, gradient)
        return best.x.round().to(torch.uint8)

    def start(self, images: Tensor, seeds: Tensor) -> Tensor:
        return self.epsilon * (2 * random.uniform(seeds, images.shape[1:]) - 1)

    def predicted(self, classifier: Network, clean: Tensor) -> Tensor | None:
        """The clean predictions, int64 [B], for a loss that needs them."""
        return None

    def loss(self, logits: Tensor, labels: Tensor, truth: Tensor | None) -> Tensor:
        """The value to increase for each image, [B]."""
        entropy = F.cross_entropy(logits, labels, reduction="none")
        return -entropy if self.threat.targeted else entropy


@dataclass(frozen=True)
class APGDDLR(APGDCE):
    """APGD with the difference of logits ratio −(z_y − max z_i)/(z_π1 − z_π3), i ≠ y (section 5.2).

    With a `goal` class t it is −(z_y − z_t)/(z_π1 − (z_π3 + z_π4)/2), where y is the clean prediction. UserError for
    models with less than three classes, or four with a goal.
    """

    version: ClassVar[int] = 1

    @torch.no_grad()
    def predicted(self, classifier: Network, clean: Tensor) -> Tensor | None:
        return classifier(clean / 255).argmax(dim=1) if self.threat.targeted else None

    def loss(self, logits: Tensor, labels: Tensor, truth: Tensor | None) -> Tensor:
        if logits.shape[1] < (least := 3 + self.threat.targeted):
            raise UserError(f"this loss needs models of {least} classes or more: choose attack=apgd_ce")
        ordered = logits.sort(dim=1, descending=True).values
        chosen = logits.gather(1, labels[:, None])[:, 0]
        if truth is not None:
            own = logits.gather(1, truth[:, None])[:, 0]
            return (chosen - own) / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + 1e-12)
        other = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
        return (other - chosen) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


@dataclass(frozen=True)
class Best:
    """loss [B], x and gradient [B, C, H, W] of the iterates of the greatest loss."""

    loss: Tensor
    x: Tensor
    gradient: Tensor

    def better(self, other: "Best") -> "Best":
        wins = other.loss > self.loss
        whole = wins.view(-1, 1, 1, 1)
        return Best(
            torch.where(wins, other.loss, self.loss),
            torch.where(whole, other.x, self.x),
            torch.where(whole, other.gradient, self.gradient),
        )


def checkpoints(steps: int) -> list[int]:
    """The steps after which the step size is checked: 0, then after 22% of the steps, then after intervals that shrink
    by 3% of the steps down to 6%, each of 1 step or more (section 3.3)."""
    interval, places = max(int(0.22 * steps), 1), [0]
    while places[-1] + interval <= steps:
        places.append(places[-1] + interval)
        interval = max(interval - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    return places
