"""Intervals over images of numbers that are no rates: means of images, and statistics of all images together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

PARTS = 20
"""Groups of images that the jackknife leaves out, one at a time."""


def mean_with_interval(values: Array, confidence: float, low: float, high: float) -> tuple[float, float, float]:
    """The mean of the values of images, float64 [N], with its large-sample interval, which ends at `low` and `high`.
    NaN values are left out; the interval of fewer than two is NaN."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan, np.nan, np.nan
    mean = float(np.clip(known.mean(), low, high))
    half = float(ndtri((1 + confidence) / 2) * known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan
    return mean, float(np.maximum(mean - half, low)), float(np.minimum(mean + half, high))


def samples(images: int) -> NDArray[np.bool_]:
    """The samples of the delete-group jackknife, bool [samples, images], the same in every call: first all images, then
    for each of at most `PARTS` groups of random images those that are left without it. Only the first where there are
    fewer than two groups of two images."""
    parts = min(PARTS, images // 2)
    if parts < 2:
        return np.ones((1, images), dtype=bool)
    group = np.random.default_rng(0).permutation(images) % parts
    return np.vstack([np.ones(images, dtype=bool), group != np.arange(parts)[:, None]])


def jackknifed(values: ArrayLike, confidence: float, low: float, high: float) -> tuple[float, float, float]:
    """The value of all images, with an interval which ends at `low` and `high`. values: that of each of the `samples`,
    float64 [samples].

    The interval is that of the delete-group jackknife (Shao and Tu, The Jackknife and Bootstrap, 1995, §2.3): with θ_g
    the value without group g of G, the squared standard error is (G − 1)/G · Σ (θ_g − mean)², and the quantile is
    Student's with G − 1 degrees of freedom. Unlike in a bootstrap, no image occurs twice, which would be its own
    nearest neighbour. NaN ends where a value is NaN, and for a single sample.
    """
    value, *left = np.asarray(values, np.float64).tolist()
    parts, without = len(left), np.array(left)
    if parts < 2 or not np.isfinite(value):
        return value, np.nan, np.nan
    error = np.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum())
    half = float(stdtrit(parts - 1, (1 + confidence) / 2) * error)
    return value, float(np.maximum(value - half, low)), float(np.minimum(value + half, high))


def spread(images: int, most: int) -> Rows:
    """The rows of at most `most` images, spread evenly over `images`, int64."""
    return np.arange(images) if images <= most else np.linspace(0, images - 1, most).round().astype(np.int64)
