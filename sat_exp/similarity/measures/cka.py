"""Linear centred kernel alignment of features, with and without the bias of few images."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, jackknifed, samples, spread

FEWEST = 4  # images for which the debiased estimate exists
ROUNDING = 1e-13  # share of ⟨K, K⟩ below which HSIC(K, K) is that of equal features


class Part(NamedTuple):
    """What the alignment needs of one model. gram: inner products of features, float64 [n, n]; sums: of its rows over
    the images of each sample, 0 for images outside, float64 [n, samples]; norms: √HSIC(K, K) of each sample, float64
    [samples], NaN for equal features and too few images."""

    gram: Array
    sums: Array
    norms: Array


def prepare(features: NDArray[Any], *, debiased: bool, images: int) -> Part:
    """The part of a model with features [N, D]."""
    gram = gram_of(features[spread(len(features), images)])
    if debiased:
        np.fill_diagonal(gram, 0)
    inside = samples(len(gram)).T.astype(np.float64)
    sums = (gram @ inside) * inside
    squares = hsic(gram, gram, sums, sums, debiased)
    raw = ((gram * gram) @ inside * inside).sum(axis=0)
    return Part(gram, sums, np.sqrt(np.where(squares > ROUNDING * raw, squares, np.nan)))


def hsic(first: Array, second: Array, one: Array, other: Array, debiased: bool) -> Array:
    """HSIC of two Gram matrices K and L for the images of each of the `samples`, times a number that depends on their
    count alone, float64 [samples]; NaN for fewer than `FEWEST` images. one, other: the `sums` of both.

    With ⟨K, L⟩ the sum of products and k and l the sums of rows, it is ⟨K, L⟩ − 2 k·l/n + Σk Σl/n² (Gretton et al., ALT
    2005, for centred matrices multiplied out), and debiased, for diagonals of 0, ⟨K, L⟩ − 2 k·l/(n − 2) + Σk Σl/((n −
    1)(n − 2)) (Song et al., JMLR 13, 2012).
    """
    inside = samples(len(first)).T.astype(np.float64)
    counts = inside.sum(axis=0)
    n = np.where(counts < FEWEST, np.nan, counts)
    rows, all_pairs = (n - 2, (n - 1) * (n - 2)) if debiased else (n, n * n)
    products = ((first * second) @ inside * inside).sum(axis=0)
    return products - 2 * (one * other).sum(axis=0) / rows + one.sum(axis=0) * other.sum(axis=0) / all_pairs


def compute(
    a: Part, b: Part, labels: NDArray[np.int64] | None, confidence: float, *, debiased: bool
) -> tuple[float, float, float]:
    """Linear CKA with the interval of the jackknife; NaN for features that are all equal.

    With Gram matrices K and L of the features it is HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)) (Kornblith et al., Similarity
    of Neural Network Representations Revisited, ICML 2019). With more features than images the plain estimate is near 1
    for any two models. The debiased one has the unbiased HSIC and is 0 on average for independent features (Nguyen,
    Raghu and Kornblith, ICLR 2021, appendix A).
    """
    aligned = hsic(a.gram, b.gram, a.sums, b.sums, debiased) / (a.norms * b.norms)
    return jackknifed(aligned, confidence, -1 if debiased else 0, 1)


def gram_of(features: NDArray[Any]) -> Array:
    """Inner products of features [n, D] after their mean is subtracted, which keeps digits, float64 [n, n]."""
    shifted = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    return shifted @ shifted.T


def measure(debiased: bool, images: Images) -> Measure:
    """Linear CKA on at most so many images."""
    return Measure(
        "Linear CKA, debiased" if debiased else "Linear CKA",
        Outputs("features"),
        -1.0 if debiased else 0.0,
        1.0,
        partial(compute, debiased=debiased),
        identity=1.0,
        prepare=partial(prepare, debiased=debiased, images=images),
    )
