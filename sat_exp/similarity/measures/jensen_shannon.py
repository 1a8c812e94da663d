"""A measure from logits: how much the predicted class probabilities overlap."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, softmax

from sat_exp.similarity.measures import Measure
from sat_exp.similarity.over_images import Array, mean_with_interval

BLOCK = 4096  # images whose mean probabilities are in memory at once


class Answers(NamedTuple):
    """The class probabilities of one model, float64 [N, K], and their entropies in nats, float64 [N]."""

    probabilities: Array
    entropies: Array


def prepare(logits: NDArray[Any]) -> Answers:
    """The softmax of logits [N, K]."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    return Answers(probabilities, entr(probabilities).sum(axis=1))


def similarity(a: Answers, b: Answers) -> Array:
    """1 − JSD(p, q) of each image, float64 [N], from 0 to 1, for two models of the same classes. JSD(p, q) = ½ KL(p ‖
    m) + ½ KL(q ‖ m) = H(m) − ½ H(p) − ½ H(q) with m = ½ (p + q), in bits (Lin, IEEE Transactions on Information Theory
    37, 1991)."""
    spans = (slice(at, at + BLOCK) for at in range(0, len(a.entropies), BLOCK))
    mixed = [entr((a.probabilities[span] + b.probabilities[span]) / 2).sum(axis=1) for span in spans]
    return 1 - (np.concatenate(mixed) - (a.entropies + b.entropies) / 2) / np.log(2)


def compute(a: Answers, b: Answers, labels: NDArray[np.int64] | None, confidence: float) -> tuple[float, float, float]:
    """The mean of `similarity` over images, with its large-sample interval; NaN for different numbers of classes."""
    if a.probabilities.shape != b.probabilities.shape or not len(a.entropies):
        return np.nan, np.nan, np.nan
    return mean_with_interval(similarity(a, b), confidence, 0, 1)


def measure() -> Measure:
    return Measure("1 − Jensen–Shannon divergence", "logits", 0.0, 1.0, compute, identity=1.0, prepare=prepare)
