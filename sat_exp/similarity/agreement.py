"""Similarity of two models from their clean predictions alone: equal predictions, and errors on the same images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from sat_exp.similarity.intervals import rate_columns

Array = NDArray[np.float64]

MEASURES = ("agreement", "error_consistency", "error_overlap", "disagreement", "same_error")


def agreement(
    names: Sequence[str], labels: ArrayLike | None, clean: Mapping[str, ArrayLike], *, confidence: float = 0.95
) -> pd.DataFrame:
    """The table of all unordered pairs of distinct models, in the order of `names`.

    `labels`: int [N], the true classes, None where unknown; `clean`: for each model its predicted classes, int [N].

    Columns: model_a, model_b; images = N; accuracy_a, accuracy_b, accuracy_mean and accuracy_gap, the absolute
    difference; and, each with _low and _high,

    - agreement: share of the images for which both predict the same class
    - error_consistency: κ = (o − e)/(1 − e). o is the share of images that both or neither classify correctly, and
      e = a·b + (1 − a)(1 − b) its expectation for independent models of accuracies a and b (Geirhos, Meding and
      Wichmann, NeurIPS 2020: Cohen's κ of being right); NaN where e is 1
    - error_overlap: share of images that both misclassify
    - disagreement: share of images that exactly one classifies correctly (Kuncheva and Whitaker, Machine Learning 51,
      2003)
    - same_error: share of equal predictions among the images that both misclassify; NaN without such images

    The shares have Wilson's intervals over images, κ that of `kappa_interval`. Without labels all but agreement is NaN.
    """
    predicted = np.array([np.asarray(clean[name]) for name in names])
    truth = None if labels is None else np.asarray(labels)
    images = predicted.shape[1]
    first, second = np.triu_indices(len(names), 1)
    same = np.array([(predicted == row).sum(axis=1) for row in predicted])[first, second]
    correct = np.full(predicted.shape, np.nan) if truth is None else (predicted == truth).astype(np.float64)
    right, both = correct.sum(axis=1), (correct @ correct.T)[first, second]
    a, b = right[first], right[second]
    pairs = pd.DataFrame(np.array(names, object)[np.column_stack([first, second])], columns=["model_a", "model_b"])
    pairs["images"] = images
    pairs["accuracy_a"], pairs["accuracy_b"] = a / images, b / images
    pairs["accuracy_mean"], pairs["accuracy_gap"] = (a + b) / (2 * images), np.abs(a - b) / images
    return pairs.assign(**measures_of_counts(same, a, b, both, images, confidence))


def measures_of_counts(
    same: Array, a: Array, b: Array, both: Array, images: int, confidence: float
) -> dict[str, Array]:
    """The `MEASURES` of pairs of models and the ends of their intervals, from numbers of images in arrays of one shape:
    `same`, those with equal predictions; `a`, `b` and `both`, those that the first, the second and both models classify
    correctly, NaN where unknown. See `agreement`."""
    neither = images - a - b + both
    counts = both, a - both, b - both, neither
    consistency, _ = kappa(both / images, (a - both) / images, (b - both) / images, neither / images, images)
    low, high = kappa_interval(*counts, confidence)
    return {
        **rate_columns("agreement", same, images, confidence),
        **{"error_consistency": consistency, "error_consistency_low": low, "error_consistency_high": high},
        **rate_columns("error_overlap", neither, images, confidence),
        **rate_columns("disagreement", a + b - 2 * both, images, confidence),
        **rate_columns("same_error", same - both, neither, confidence),
    }


def kappa(both: Array, first: Array, second: Array, neither: Array, images: int) -> tuple[Array, Array]:
    """Cohen's κ and its large-sample standard error, arrays of one shape; NaN where the expected agreement is 1.

    `both`, `first`, `second`, `neither`: the shares of the images that both models classify correctly, only the first,
    only the second, and neither. With p the table of shares, p_i. and p_.j its margins and e = Σ p_i.·p_.i, the
    variance is that of Fleiss, Cohen and Everitt:
    {Σ p_ii·[1 − (p_i. + p_.i)(1 − κ)]² + (1 − κ)²·Σ_{i≠j} p_ij·(p_.i + p_j.)² − [κ − e(1 − κ)]²} / N(1 − e)².
    """
    a, b = both + first, both + second
    chance = a * b + (1 - a) * (1 - b)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(chance < 1, (both + neither - chance) / (1 - chance), np.nan)
        off = 1 - value
        variance = (
            both * (1 - (a + b) * off) ** 2
            + neither * (1 - (2 - a - b) * off) ** 2
            + off**2 * (first * (b + 1 - a) ** 2 + second * (1 - b + a) ** 2)
            - (value - chance * off) ** 2
        ) / (images * (1 - chance) ** 2)
    return value, np.sqrt(np.maximum(variance, 0))


def kappa_interval(
    both: Array, first: Array, second: Array, neither: Array, confidence: float = 0.95
) -> tuple[Array, Array]:
    """Interval of Cohen's κ from counts of images, arrays of one shape: lower and upper ends, NaN where κ is.

    The large-sample interval of `kappa` after one image is added to each of the four counts, as Agresti and Caffo (The
    American Statistician 54, 2000) do for the difference of two rates: the standard error of the plain counts is 0
    where the two models never differ. The interval is widened to hold κ, and ends at ±1.
    """
    images = both + first + second + neither
    value, _ = kappa(both / images, first / images, second / images, neither / images, 1)
    more = images + 4
    centre, error = kappa((both + 1) / more, (first + 1) / more, (second + 1) / more, (neither + 1) / more, 1)
    half = ndtri((1 + confidence) / 2) * error / np.sqrt(more)
    return np.maximum(np.minimum(centre - half, value), -1), np.minimum(np.maximum(centre + half, value), 1)
