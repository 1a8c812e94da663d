"""Representational similarity analysis: whether two models find the same images far apart."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, Rows, jackknifed, spread


def dissimilarities(features: NDArray[Any]) -> Array:
    """1 − Pearson correlation of the features [n, D] of any two images, float64 [n, n]; 1 for an image whose features
    are all equal."""
    shifted = features - features.mean(axis=1, keepdims=True, dtype=np.float64)
    sizes = np.linalg.norm(shifted, axis=1, keepdims=True)
    unit = shifted / np.where(sizes > 0, sizes, 1)
    return 1 - unit @ unit.T


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float, *, images: int
) -> tuple[float, float, float]:
    """The rank correlation of `dissimilarities` of two models over the pairs of images, for features [N, D], with the
    interval of the jackknife; NaN for fewer than three images and where all dissimilarities are equal (Kriegeskorte,
    Mur and Bandettini, Frontiers in Systems Neuroscience 2, 2008)."""
    rows = spread(len(a), images)
    first, second = (dissimilarities(features[rows]) for features in (a, b))

    def statistic(rows: Rows) -> float:
        upper = tuple(rows[side] for side in np.triu_indices(len(rows), 1))
        ranks = [rankdata(values[upper]) for values in (first, second)]
        if len(rows) < 3 or min(np.ptp(each) for each in ranks) == 0:
            return np.nan
        return float(np.corrcoef(*ranks)[0, 1])

    return jackknifed(statistic, len(rows), confidence, -1, 1)


def measure(images: Images) -> Measure:
    """The correlation for at most so many images."""
    work = partial(compute, images=images)
    return Measure("Representational similarity (RSA)", Outputs("features"), -1.0, 1.0, work, identity=1.0)
