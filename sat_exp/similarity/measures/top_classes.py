"""A measure from logits: the classes that both models find most likely."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Count
from sat_exp.similarity.measures import Measure
from sat_exp.similarity.over_images import mean_with_interval


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float, *, classes: int
) -> tuple[float, float, float]:
    """The mean over images of |S ∩ T|/k, with its large-sample interval. S and T are the k = `classes` classes with the
    largest logits [N, K] of each model; NaN for different numbers of classes, and where K is not above k."""
    if a.shape != b.shape or a.shape[1] <= classes or not len(a):
        return np.nan, np.nan, np.nan
    first, second = (np.argsort(-logits, axis=1, kind="stable")[:, :classes] for logits in (a, b))
    shared = (first[:, :, None] == second[:, None, :]).sum(axis=(1, 2)) / classes
    return mean_with_interval(shared, confidence, 0, 1)


def measure(classes: Count) -> Measure:
    return Measure(
        f"Equal classes among the {classes} most likely",
        "logits",
        0.0,
        1.0,
        partial(compute, classes=classes),
        identity=1.0,
    )
