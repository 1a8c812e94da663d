"""Representational similarity analysis: whether two models find the same images far apart."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, jackknifed, samples, spread


class Ranks(NamedTuple):
    """Of one model, for each of the `samples`. ranks: `doubled_ranks` of the dissimilarities of the pairs of images,
    int32 [pairs]; norms: their Euclidean norms, float64 [samples]."""

    ranks: list[NDArray[np.int32]]
    norms: Array


def dissimilarities(features: NDArray[Any]) -> Array:
    """1 − Pearson correlation of the features [n, D] of any two images, float64 [n, n]; 1 for an image whose features
    are all equal."""
    shifted = features - features.mean(axis=1, keepdims=True, dtype=np.float64)
    sizes = np.linalg.norm(shifted, axis=1, keepdims=True)
    unit = shifted / np.where(sizes > 0, sizes, 1)
    return 1 - unit @ unit.T


def prepare(features: NDArray[Any], *, images: int) -> Ranks:
    """The ranks of a model with features [N, D] in each of the `samples`."""
    distances = dissimilarities(features[spread(len(features), images)])
    first, second = np.triu_indices(len(distances), 1)
    _, places = np.unique(distances[first, second], return_inverse=True)
    ranks = [doubled_ranks(places[inside[first] & inside[second]]) for inside in samples(len(distances))]
    return Ranks(ranks, np.sqrt([inner(each, each) for each in ranks]))


def inner(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """The inner product, summed in pairs: it is above 2⁵³, where a running sum would lose digits."""
    return float(np.multiply(one, other, dtype=np.float64).sum())


def doubled_ranks(places: NDArray[np.int64]) -> NDArray[np.int32]:
    """Twice the ranks of numbers minus their mean, int32 [pairs], where equal numbers share the mean of their ranks.
    places: those of the numbers in a list of their distinct values, int64 [pairs]."""
    counts = np.bincount(places)
    twice = 2 * counts.cumsum() - counts - len(places)
    return twice.astype(np.int32)[places]


def compute(a: Ranks, b: Ranks, labels: NDArray[np.int64] | None, confidence: float) -> tuple[float, float, float]:
    """The rank correlation of `dissimilarities` of two models over the pairs of images, with the interval of the
    jackknife; NaN for fewer than three images and where all dissimilarities are equal (Kriegeskorte, Mur and
    Bandettini, Frontiers in Systems Neuroscience 2, 2008)."""
    sizes = a.norms * b.norms
    products = [inner(*ranks) for ranks in zip(a.ranks, b.ranks, strict=True)]
    correlations = np.divide(products, sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
    return jackknifed(np.clip(correlations, -1, 1), confidence, -1, 1)


def measure(images: Images) -> Measure:
    """The correlation for at most so many images."""
    return Measure(
        "Representational similarity (RSA)",
        Outputs("features"),
        -1.0,
        1.0,
        compute,
        identity=1.0,
        prepare=partial(prepare, images=images),
    )
