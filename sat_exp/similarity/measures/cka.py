"""Linear centred kernel alignment of features, with and without the bias of few images."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, Rows, jackknifed, spread

FEWEST = 4  # images for which the debiased estimate exists


def centred(gram: Array) -> Array:
    """A Gram matrix [n, n] of features whose mean is subtracted, H K H with H = I − 1/n (Kornblith et al., §2)."""
    means = gram.mean(axis=0)
    return gram - means - means[:, None] + means.mean()


def u_centred(gram: Array) -> Array:
    """A Gram matrix [n, n] centred so that the mean of products with another one has no bias (Székely and Rizzo, Annals
    of Statistics 42, 2014, §3): rows without the diagonal sum to 0, and the diagonal is 0."""
    images = len(gram)
    off = gram - np.diag(np.diag(gram))
    sums = off.sum(axis=0)
    off = off - (sums + sums[:, None]) / (images - 2) + sums.sum() / ((images - 1) * (images - 2))
    np.fill_diagonal(off, 0)
    return off


def alignment(first: Array, second: Array) -> float:
    """⟨K, L⟩/(‖K‖ ‖L‖) of two centred Gram matrices; NaN where one is 0."""
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.vdot(first, second) / scale) if scale > 0 else np.nan


def compute(
    a: NDArray[Any],
    b: NDArray[Any],
    labels: NDArray[np.int64] | None,
    confidence: float,
    *,
    debiased: bool,
    images: int,
) -> tuple[float, float, float]:
    """Linear CKA of features [N, D] with the interval of the jackknife; NaN for features that are all equal.

    With Gram matrices K and L of the features it is HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)) (Kornblith et al., Similarity
    of Neural Network Representations Revisited, ICML 2019). With more features than images the plain estimate is near 1
    for any two models. The debiased one has the unbiased HSIC of Song et al. (JMLR 13, 2012) and is 0 on average for
    independent features (Nguyen, Raghu and Kornblith, ICLR 2021, appendix A).
    """
    rows = spread(len(a), images)
    if len(rows) < FEWEST:
        return np.nan, np.nan, np.nan
    centre = u_centred if debiased else centred
    first, second = (gram_of(features[rows]) for features in (a, b))

    def statistic(rows: Rows) -> float:
        if len(rows) < FEWEST:
            return np.nan
        chosen = np.ix_(rows, rows)
        return alignment(centre(first[chosen]), centre(second[chosen]))

    return jackknifed(statistic, len(rows), confidence, -1 if debiased else 0, 1)


def gram_of(features: NDArray[Any]) -> Array:
    """Inner products of features [n, D] after their mean is subtracted, which keeps digits, float64 [n, n]."""
    shifted = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    return shifted @ shifted.T


def measure(debiased: bool, images: Images) -> Measure:
    """Linear CKA on at most so many images."""
    title = "Linear CKA, debiased" if debiased else "Linear CKA"
    work = partial(compute, debiased=debiased, images=images)
    return Measure(title, Outputs("features"), -1.0 if debiased else 0.0, 1.0, work, identity=1.0)
