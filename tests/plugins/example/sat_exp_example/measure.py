"""The agreement of two models in the order of the classes of an image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.similarity.measures import Measure

TOP = 3


def rank_overlap(a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float) -> float:
    """The mean share of classes that are among both models' `TOP` most likely ones, for logits [N, K]."""
    if a.shape != b.shape:
        return np.nan
    top = min(TOP, a.shape[1])
    first, second = (np.argsort(-logits, axis=1, kind="stable")[:, :top] for logits in (a, b))
    return float((first[:, :, None] == second[:, None, :]).any(axis=2).mean())


def measure() -> Measure:
    return Measure("Shared top classes", "logits", 0.0, 1.0, rank_overlap, identity=1.0)
