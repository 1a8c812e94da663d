"""The interface of an attack, and its threat model: what it may change, and which prediction is its success."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from sat_exp.attacks import random
from sat_exp.errors import UserError
from sat_exp.settings import checked

Norm = Literal["linf", "l2"]
Policy = Literal["random", "least_likely", "next"]  # how the goal class of a targeted attack is chosen
NORMS = {"linf": "L∞", "l2": "L2"}
Goal = Literal["untargeted", "random", "least_likely", "next"]
GOALS = {"random": "a random class", "least_likely": "the least likely class", "next": "the next class"}
GOAL = 1 << 31  # the stream of the random numbers of goals; those of attacks begin at 0
Network = Callable[[Tensor], Tensor]  # float pixels in [0, 1], [B, C, H, W] → logits [B, classes]


@dataclass(frozen=True)
class Threat:
    """Perturbations of at most `epsilon` in `norm`, whose result is an 8-bit image, and the `goal` of the attack.

    epsilon is in units of 1/255: for `linf` the largest change of a pixel value, for `l2` the Euclidean length of all
    changes. goal: `untargeted` to change the prediction; else the class to reach: a `random` other one, the
    `least_likely` one for the clean image, or the `next` one after the predicted class.
    """

    norm: Norm
    epsilon: float
    goal: Goal = "untargeted"

    def __str__(self) -> str:
        """For instance 'L∞ ≤ 8/255' or 'L2 ≤ 765/255, targeted at a random class'."""
        target = f", targeted at {GOALS[self.goal]}" if self.targeted else ""
        return f"{NORMS[self.norm]} ≤ {self.epsilon:g}/255{target}"

    @property
    def targeted(self) -> bool:
        return self.goal != "untargeted"

    def allows(self, clean: np.ndarray, adversarial: np.ndarray) -> np.ndarray:
        """Whether each perturbation is within the budget, bool [N], for uint8 images [N, C, H, W]."""
        return perturbation_norms(clean, adversarial)[self.norm] <= self.epsilon

    def goals(self, logits: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """The goal class of a targeted attack on each image, int64 [N]: never the predicted class.

        logits: of the attacked model for the clean images, float [N, classes]. seeds: one per image, int64 [N]. A
        random goal depends on the seed and the predicted class only, so that all models have the same goal for an
        image.
        """
        predicted, classes = logits.argmax(axis=1), logits.shape[1]
        if self.goal == "least_likely":
            others = logits.copy()
            others[np.arange(len(logits)), predicted] = np.inf
            return others.argmin(axis=1)
        steps = np.ones(len(seeds), np.int64)
        if self.goal == "random":
            steps = random.integers(torch.from_numpy(seeds), 1, classes - 1, stream=GOAL).numpy()
        return (predicted + steps) % classes


def perturbation_norms(clean: np.ndarray, adversarial: np.ndarray) -> dict[str, np.ndarray]:
    """The norms `linf` and `l2` in units of 1/255, and `changed`, the share of values that differ, [N] each, for uint8
    images [N, C, H, W]."""
    difference = (adversarial.astype(np.int16) - clean).reshape(len(clean), -1)
    squares = [np.dot(row, row) for row in difference.astype(np.float64)]  # exact: whole numbers below 2⁵³
    return {
        "linf": np.maximum(difference.max(axis=1, initial=0), -difference.min(axis=1, initial=0)),
        "l2": np.sqrt(np.array(squares)),
        "changed": np.count_nonzero(difference, axis=1) / difference.shape[1],
    }


class Attack(ABC):
    """Base of all attacks: a frozen dataclass whose fields are the settings of conf/attack.

    version: goes up when the same settings give other adversarial images; it is in the key of stored images.
    companions: the number of images that it mixes into others. If above 0, it takes `others`, the first so many images
    of the image list, uint8 [P, C, H, W], by keyword; P is less where the list is shorter.
    """

    version: ClassVar[int]
    companions: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Check the settings and give them their types: a step size of 1 is 1.0, so that both have the same key."""
        for name, value in checked(type(self), vars(self), "attack").items():
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def threat(self) -> Threat:
        """The threat model: which perturbations the attack may make, and what it wants the model to predict."""

    @property
    def gradients(self) -> int:
        """The gradients of the network per image, by which its time is estimated; 0 for an attack without any."""
        return getattr(self, "steps", 0)

    @abstractmethod
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        """Adversarial images, uint8 [B, C, H, W], for clean `images` of the same form.

        `labels`, int64 [B], are the classes that an untargeted attack leads away from, or the goal classes of a
        targeted attack. All random numbers of an image are drawn from its seed, int64 [B], by `attacks.random`. The
        parameters of `classifier` should be frozen.
        """


def mixed_in(others: Tensor | None) -> Tensor:
    """The images that an attack mixes into others; UserError where there are none."""
    if others is None or not len(others):
        raise UserError("this attack mixes other images in: give it others=, uint8 [P, C, H, W]")
    return others


def described(attack: Attack) -> dict[str, Any]:
    """The attack in the summary of a run: its name, title, settings and threat model."""
    title, threat = type(attack).__name__, vars(attack.threat) | {"text": str(attack.threat)}
    return {"name": title.lower(), "title": title} | vars(attack) | {"threat": threat}
