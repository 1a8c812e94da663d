"""A measure from logits: how much the predicted class probabilities overlap."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax

from sat_exp.similarity.measures import Measure
from sat_exp.similarity.over_images import mean_with_interval

BLOCK = 4096  # images whose probabilities are in memory at once


def similarity(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """1 − JSD(p, q) of each image, float64 [N], from 0 to 1, for logits [N, K] of two models of the same classes. p and
    q are the softmax of the logits; JSD(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q), in bits (Lin, IEEE
    Transactions on Information Theory 37, 1991)."""
    p, q = softmax(a.astype(np.float64), axis=1), softmax(b.astype(np.float64), axis=1)
    middle = (p + q) / 2
    return 1 - (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2 * np.log(2))


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float
) -> tuple[float, float, float]:
    """The mean of `similarity` over images, with its large-sample interval; NaN for different numbers of classes."""
    if a.shape != b.shape or not len(a):
        return np.nan, np.nan, np.nan
    values = np.concatenate([similarity(a[at : at + BLOCK], b[at : at + BLOCK]) for at in range(0, len(a), BLOCK)])
    return mean_with_interval(values, confidence, 0, 1)


def measure() -> Measure:
    return Measure("1 − Jensen–Shannon divergence", "logits", 0.0, 1.0, compute, identity=1.0)
