"""A measure from logits: the agreement of class probabilities beyond what accuracy alone gives."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from sat_exp.similarity.measures import Measure
from sat_exp.similarity.over_images import Array, jackknifed, samples


def probabilities(logits: NDArray[Any]) -> Array:
    """The softmax of logits [N, K], float64."""
    return np.asarray(softmax(logits.astype(np.float64), axis=1))


def compute(a: Array, b: Array, labels: NDArray[np.int64] | None, confidence: float) -> tuple[float, float, float]:
    """CAPA, κ_p = (o − e)/(1 − e), of probabilities [N, K]; NaN without labels and for different numbers of classes.

    p and q are the probabilities by the two models, y the true class. o is the mean of Σ_k p_k q_k over images, the
    probability that answers drawn from both models are equal. With p̄ and q̄ the means of p_y and q_y, e = p̄ q̄ + (1 −
    p̄)(1 − q̄)/(K − 1) is the same for independent models whose errors are spread evenly (Goel et al., Great Models
    Think Alike and this Undermines AI Oversight, ICML 2025, arXiv 2502.04313, §2). The interval is that of the
    jackknife.
    """
    if labels is None or a.shape != b.shape or a.shape[1] < 2 or not len(a):
        return np.nan, np.nan, np.nan
    equal, images, classes = (a * b).sum(axis=1), np.arange(len(a)), a.shape[1]
    right_a, right_b = a[images, labels], b[images, labels]

    def value(inside: NDArray[np.bool_]) -> float:
        first, second = right_a[inside].mean(), right_b[inside].mean()
        chance = first * second + (1 - first) * (1 - second) / (classes - 1)
        return float((equal[inside].mean() - chance) / (1 - chance)) if chance < 1 else np.nan

    return jackknifed([value(inside) for inside in samples(len(a))], confidence, -1, 1)


def measure() -> Measure:
    return Measure(
        "Chance-adjusted agreement of probabilities (CAPA)", "logits", -1.0, 1.0, compute, prepare=probabilities
    )
