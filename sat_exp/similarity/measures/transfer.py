"""The transfer rate in one direction as a measure that is not symmetric."""

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sat_exp.similarity.intervals import rate, wilson_interval
from sat_exp.similarity.measures import Measure, Transfers
from sat_exp.similarity.scores import Mask, Predictions, masks

Compare = Literal["truth", "consensus", "own"]


def counted(
    a: Transfers, b: Transfers, labels: NDArray[np.int64] | None, compare: Compare
) -> tuple[Mask, Mask | None, Mask | None]:
    """`similarity.scores.masks` of two models; a common image that was not attacked is a ValueError. Without labels no
    image is common where `compare` is `truth`."""
    if labels is None and compare == "truth":
        return np.zeros(len(a.clean), dtype=bool), None, None
    names = {"a": a, "b": b}
    others = {"a": "b", "b": "a"}
    predictions = Predictions(
        [*names],
        labels,
        {name: own.clean for name, own in names.items()},
        {(others[name], name): own.attacked for name, own in names.items() if own.attacked is not None},
        {(others[name], name): own.reference for name, own in names.items()},
        {others[name]: own.goals for name, own in names.items() if own.goals is not None},
    )
    return masks(predictions, "a", "b", compare) if predictions.adversarial else (np.zeros(0, bool), None, None)


def compute(
    a: Transfers, b: Transfers, labels: NDArray[np.int64] | None, confidence: float, *, compare: Compare
) -> tuple[float, float, float]:
    """The share of the common images whose adversarial versions made on the first model fool the second, with Wilson's
    interval; NaN where that way was not measured, where labels are needed and unknown, and without common images."""
    common, ab, _ = counted(a, b, labels, compare)
    if ab is None or not common.any():
        return np.nan, np.nan, np.nan
    low, high = wilson_interval(ab.sum(), common.sum(), confidence)
    return float(rate(ab.sum(), common.sum())), float(low), float(high)


def measure(compare: Compare) -> Measure:
    """The transfer rate on the images that `compare` states, as for `similarity.score`."""
    work = partial(compute, compare=compare)
    return Measure("Transfer rate", "transfers", 0.0, 1.0, work, symmetric=False, all_images=compare != "truth")
