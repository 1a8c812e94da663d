"""Models that have been measured, and the result of a measurement."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sat_exp.measurement.views import View
from sat_exp.models import Candidate
from sat_exp.similarity import Predictions
from sat_exp.store import StoredArray

Direction = tuple[str, str]
"""The names of a source and a target."""


@dataclass(frozen=True)
class Subject:
    """A model with its clean logits, float32 [N, classes], for the images of `view`.

    clean: the classes with the largest logits, int64 [N]. labelled: whether its classes are those of the image set.
    """

    candidate: Candidate
    parameters: int
    components: dict[str, Any]
    fingerprint: str
    labelled: bool
    view: View
    clean: np.ndarray
    logits: StoredArray

    @property
    def name(self) -> str:
        return self.candidate.name


@dataclass(frozen=True)
class Source(Subject):
    """A model that has been attacked on the images `rows`, int64 [N'].

    adversarial: uint8 [N', C, H, W]. goals: the classes that a targeted attack leads them to, int64 [N'], or None.
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
    """The result of a measurement.

    predictions: by (source, target), the classes that the target predicts for the source's adversarial images, int64
    [N], −1 where the source was not attacked. reference: those that it predicts for the same images before the attack,
    in the source's view. failures: the reason for each model that could not be measured. timings: seconds by stage.
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
