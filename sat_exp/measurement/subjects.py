"""What is known of a model once it has been measured, and of all of them together."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from omegaconf import DictConfig

from sat_exp.errors import UserError, one_line
from sat_exp.measurement.views import View
from sat_exp.similarity import Predictions
from sat_exp.store import StoredArray

Direction = tuple[str, str]
"""The names of a source and a target."""


@dataclass(frozen=True)
class Subject:
    """A model whose clean outputs are known: logits float32 [N, classes] of the images of `view`; clean, the classes
    int64 [N] where they are largest.

    labelled: whether its classes are those of the image set.
    """

    name: str
    family: str
    pretrained: bool
    parameters: int
    components: dict[str, Any]
    fingerprint: str
    config: DictConfig
    labelled: bool
    view: View
    clean: np.ndarray
    logits: StoredArray


@dataclass(frozen=True)
class Source(Subject):
    """A model that has been attacked.

    rows: the images attacked, int64 [N']. adversarial: uint8 [N', C, H, W]. goals: the classes that a targeted attack
    leads them to, int64 [N']; None for an untargeted attack.
    """

    rows: np.ndarray
    adversarial: StoredArray
    goals: np.ndarray | None

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the adversarial images."""
        return self.adversarial.digest

    def of_all_images(self, classes: np.ndarray) -> np.ndarray:
        """Classes of the attacked images, int [N'], as those of all images, int64 [N]: −1 where none was attacked."""
        everywhere = np.full(len(self.clean), -1, dtype=np.int64)
        everywhere[self.rows] = classes
        return everywhere


@dataclass(frozen=True)
class Measured:
    """What was measured.

    predictions: for each (source, target) the classes, int64 [N], that the target predicts for the source's adversarial
    images, −1 where the source was not attacked. reference: those it predicts for the source's clean images, which
    differ from its own view's where protocols let views differ. failures: the models that could not be measured, and
    why.
    """

    models: list[Subject]
    predictions: dict[Direction, np.ndarray]
    reference: dict[Direction, np.ndarray]
    failures: dict[str, str]
    timings: dict[str, float]
    warnings: list[str]

    @property
    def sources(self) -> list[Source]:
        return [model for model in self.models if isinstance(model, Source)]

    def predicted(self, labels: np.ndarray | None) -> Predictions:
        """All predicted classes, for scores; `labels`: the true classes, int64 [N], None where they are unknown."""
        clean = {model.name: model.clean for model in self.models}
        goals = {model.name: model.of_all_images(model.goals) for model in self.sources if model.goals is not None}
        return Predictions(list(clean), labels, clean, self.predictions, self.reference, goals)


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
