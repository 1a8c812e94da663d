"""The predicted classes of several models, from which every score is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.integer]
"""A class per image, int [N]."""


@dataclass(frozen=True)
class Predictions:
    """The classes that models predict for the same N images, clean and attacked; each array is int [N].

    labels: the true classes, None where they are unknown.
    clean: per model, its predictions for the clean images.
    adversarial: per (source, target), the target's predictions for the source's adversarial images, −1 where the source
    was not attacked.
    reference: per (source, target), the target's predictions for the source's clean images. Needed only where the two
    models take different pixels; the default is the target's `clean`.
    goals: per source of a targeted attack, the class that the attack leads to, −1 where the source was not attacked.
    """

    names: Sequence[str]
    labels: Classes | None
    clean: Mapping[str, Classes]
    adversarial: Mapping[tuple[str, str], Classes]
    reference: Mapping[tuple[str, str], Classes] = field(default_factory=dict)
    goals: Mapping[str, Classes] = field(default_factory=dict)

    def unattacked(self, source: str, target: str) -> Classes:
        """The target's predictions for the source's clean images."""
        return self.reference.get((source, target), self.clean[target])


def fooled(predicted: Classes, clean: Classes, goals: Classes | None = None) -> NDArray[np.bool_]:
    """Whether an adversarial image fools a model, bool [N], from the model's predictions for it and the clean image.

    An untargeted attack fools the model where the prediction changes. A targeted attack, which has `goals`, fools it
    where the prediction becomes the goal class and was another class before. Arrays of one shape; images that were not
    attacked are the caller's to leave out.
    """
    return predicted != clean if goals is None else (predicted == goals) & (clean != goals)
