"""The interface of an attack."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sat_exp.attacks.threat import Threat
from sat_exp.settings import checked

Network = Callable[[Tensor], Tensor]  # float pixels in [0, 1], [B, C, H, W] → logits [B, classes]
Generators = Sequence[np.random.Generator]  # one per image


class Attack(ABC):
    """Base of all attacks: a frozen dataclass whose fields are the settings of conf/attack.

    version: goes up when the same settings give other adversarial images; it is in the key of stored images.
    """

    version: ClassVar[int]

    def __post_init__(self) -> None:
        """Check the settings and give them their types: a step size of 1 is 1.0, so that both have the same key."""
        for name, value in checked(type(self), vars(self), "attack").items():
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def threat(self) -> Threat:
        """The threat model: which perturbations the attack may make, and what it wants the model to predict."""

    @abstractmethod
    def __call__(self, classifier: Network, images: Tensor, labels: Tensor, generators: Generators) -> Tensor:
        """Adversarial images, uint8 [B, C, H, W], for clean `images` of the same form.

        `labels`, int64 [B], are the classes that an untargeted attack leads away from, or the goal classes of a
        targeted attack. All randomness comes from `generators`. The parameters of `classifier` should be frozen.
        """


def drawn(
    images: Tensor, generators: Generators, draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
) -> Tensor:
    """The numbers that `draw` takes from each image's generator for the image's shape [C, H, W]; [B, C, H, W]."""
    shape = tuple(images.shape[1:])
    numbers = [draw(generator, shape) for _, generator in zip(images, generators, strict=True)]
    return torch.from_numpy(np.stack(numbers)).to(images.device)


def described(attack: Attack) -> dict[str, Any]:
    """The attack as the summary of a run holds it: its name, title, settings and threat model."""
    title, threat = type(attack).__name__, attack.threat
    stated = vars(threat) | {"text": str(threat)}
    return {"name": title.lower(), "title": title} | vars(attack) | {"threat": stated}
