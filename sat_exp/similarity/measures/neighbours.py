"""Whether an image has the same nearest neighbours by the features of two models."""

from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Count, Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, jackknifed, samples, spread

Overlap = Literal["jaccard", "share"]


def cosines(features: NDArray[Any]) -> Array:
    """The cosine of the features [n, D] of any two images, float64 [n, n]; −∞ on the diagonal."""
    sizes = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    unit = features / np.where(sizes > 0, sizes, 1)
    found = unit @ unit.T
    np.fill_diagonal(found, -np.inf)
    return found


def nearest(similarities: Array, neighbours: int) -> NDArray[np.uint64]:
    """Whether an image is among the nearest ones of another, a bit each, uint64 [n, n/64 rounded up]; one row for each
    image."""
    columns = np.argpartition(-similarities, neighbours - 1, axis=1)[:, :neighbours]
    found = np.zeros((len(similarities), -(-len(similarities) // 64) * 64), dtype=bool)
    np.put_along_axis(found, columns, True, axis=1)
    return np.packbits(found, axis=1).view(np.uint64)


def prepare(features: NDArray[Any], *, neighbours: int, images: int) -> list[NDArray[np.uint64]]:
    """The neighbours of a model with features [N, D] in each of the `samples`; none in one of not more than k + 1
    images."""
    similarities = cosines(features[spread(len(features), images)])
    chosen = (np.flatnonzero(inside) for inside in samples(len(similarities)))
    return [
        nearest(similarities[np.ix_(rows, rows)], neighbours)
        if len(rows) > neighbours + 1
        else np.zeros((0, 0), np.uint64)
        for rows in chosen
    ]


def compute(
    a: list[NDArray[np.uint64]],
    b: list[NDArray[np.uint64]],
    labels: NDArray[np.int64] | None,
    confidence: float,
    *,
    of: Overlap,
    neighbours: int,
) -> tuple[float, float, float]:
    """The mean overlap of the k = `neighbours` nearest images by cosine of features, with the interval of the
    jackknife; NaN where there are not more than k + 1 images.

    With S and T the neighbours of an image by the two models, the overlap is |S ∩ T|/|S ∪ T| for `jaccard` (Schumacher
    et al., arXiv 2005.10039, 2020) and |S ∩ T|/k for `share` (mutual k-nearest neighbours: Huh et al., The Platonic
    Representation Hypothesis, ICML 2024).
    """

    def overlap(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
        if not len(one):
            return np.nan
        shared = np.bitwise_count(one & other).sum(axis=1, dtype=np.int64)
        return float((shared / (2 * neighbours - shared if of == "jaccard" else neighbours)).mean())

    return jackknifed([overlap(*parts) for parts in zip(a, b, strict=True)], confidence, 0, 1)


def measure(of: Overlap, neighbours: Count, images: Images) -> Measure:
    """The overlap of neighbours among at most so many images."""
    words = {"jaccard": "Jaccard index of", "share": "Mutual"}
    return Measure(
        f"{words[of]} {neighbours} nearest neighbours",
        Outputs("features"),
        0.0,
        1.0,
        partial(compute, of=of, neighbours=neighbours),
        identity=1.0,
        prepare=partial(prepare, neighbours=neighbours, images=images),
    )
