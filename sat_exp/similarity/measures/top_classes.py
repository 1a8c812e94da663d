"""A measure from logits: the classes that both models find most likely."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Count
from sat_exp.similarity.measures import Measure
from sat_exp.similarity.over_images import mean_with_interval


class Top(NamedTuple):
    """The `largest` classes of each image, int64 [N, k], the most likely first, of logits of this `shape`."""

    shape: tuple[int, ...]
    largest: NDArray[np.int64]


def prepare(logits: NDArray[Any], *, classes: int) -> Top:
    """The k = `classes` classes with the largest logits [N, K]; the first of equal ones."""
    return Top(logits.shape, np.argsort(-logits, axis=1, kind="stable")[:, :classes].copy())


def compute(
    a: Top, b: Top, labels: NDArray[np.int64] | None, confidence: float, *, classes: int
) -> tuple[float, float, float]:
    """The mean over images of |S ∩ T|/k, with its large-sample interval. S and T are the k = `classes` most likely
    classes by each model; NaN for different numbers of classes, and where K is not above k."""
    if a.shape != b.shape or a.shape[1] <= classes or not a.shape[0]:
        return np.nan, np.nan, np.nan
    shared = (a.largest[:, :, None] == b.largest[:, None, :]).sum(axis=(1, 2)) / classes
    return mean_with_interval(shared, confidence, 0, 1)


def measure(classes: Count) -> Measure:
    return Measure(
        f"Equal classes among the {classes} most likely",
        "logits",
        0.0,
        1.0,
        partial(compute, classes=classes),
        identity=1.0,
        prepare=partial(prepare, classes=classes),
    )
