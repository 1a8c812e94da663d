"""Intervals over images of numbers that are no rates: means of images, and statistics of all images together."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
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


def jackknifed(
    statistic: Callable[[Rows], float], images: int, confidence: float, low: float, high: float
) -> tuple[float, float, float]:
    """`statistic` of all images, with an interval which ends at `low` and `high`. statistic: a function of the rows of
    images, int64 [n].

    The interval is that of the delete-group jackknife (Shao and Tu, The Jackknife and Bootstrap, 1995, §2.3): the
    images are divided at random into G = `PARTS` groups, and each group is left out once. With θ_g the statistic
    without group g, the squared standard error is (G − 1)/G · Σ (θ_g − mean)², and the quantile is Student's with G − 1
    degrees of freedom. Unlike in a bootstrap, no image occurs twice, which would be its own nearest neighbour. NaN ends
    where a θ_g is NaN, and for fewer than two groups.
    """
    rows = np.arange(images)
    value = statistic(rows)
    parts = min(PARTS, images // 2)
    if parts < 2 or not np.isfinite(value):
        return value, np.nan, np.nan
    group = np.random.default_rng(0).permutation(images) % parts
    left = np.array([statistic(rows[group != part]) for part in range(parts)])
    error = np.sqrt((parts - 1) / parts * ((left - left.mean()) ** 2).sum())
    half = float(stdtrit(parts - 1, (1 + confidence) / 2) * error)
    return value, float(np.maximum(value - half, low)), float(np.minimum(value + half, high))


def spread(images: int, most: int) -> Rows:
    """The rows of at most `most` images, spread evenly over `images`, int64."""
    return np.arange(images) if images <= most else np.linspace(0, images - 1, most).round().astype(np.int64)
