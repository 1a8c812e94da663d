"""Whether an image has the same nearest neighbours by the features of two models."""

from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Count, Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, Rows, jackknifed, spread

Overlap = Literal["jaccard", "share"]


def cosines(features: NDArray[Any]) -> Array:
    """The cosine of the features [n, D] of any two images, float64 [n, n]; −∞ on the diagonal."""
    sizes = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    unit = features / np.where(sizes > 0, sizes, 1)
    found = unit @ unit.T
    np.fill_diagonal(found, -np.inf)
    return found


def nearest(similarities: Array, neighbours: int) -> NDArray[np.bool_]:
    """Whether an image is among the nearest ones of another, bool [n, n], one row for each image."""
    columns = np.argpartition(-similarities, neighbours - 1, axis=1)[:, :neighbours]
    found = np.zeros(similarities.shape, dtype=bool)
    np.put_along_axis(found, columns, True, axis=1)
    return found


def compute(
    a: NDArray[Any],
    b: NDArray[Any],
    labels: NDArray[np.int64] | None,
    confidence: float,
    *,
    of: Overlap,
    neighbours: int,
    images: int,
) -> tuple[float, float, float]:
    """The mean overlap of the k = `neighbours` nearest images by cosine of features [N, D], with the interval of the
    jackknife; NaN where there are not more than k + 1 images.

    With S and T the neighbours of an image by the two models, the overlap is |S ∩ T|/|S ∪ T| for `jaccard` (Schumacher
    et al., arXiv 2005.10039, 2020) and |S ∩ T|/k for `share` (mutual k-nearest neighbours: Huh et al., The Platonic
    Representation Hypothesis, ICML 2024).
    """
    rows = spread(len(a), images)
    first, second = (cosines(features[rows]) for features in (a, b))

    def statistic(rows: Rows) -> float:
        if len(rows) <= neighbours + 1:
            return np.nan
        chosen = np.ix_(rows, rows)
        shared = (nearest(first[chosen], neighbours) & nearest(second[chosen], neighbours)).sum(axis=1)
        return float((shared / (2 * neighbours - shared if of == "jaccard" else neighbours)).mean())

    return jackknifed(statistic, len(rows), confidence, 0, 1)


def measure(of: Overlap, neighbours: Count, images: Images) -> Measure:
    """The overlap of neighbours among at most so many images."""
    words = {"jaccard": "Jaccard index of", "share": "Mutual"}
    work = partial(compute, of=of, neighbours=neighbours, images=images)
    return Measure(f"{words[of]} {neighbours} nearest neighbours", Outputs("features"), 0.0, 1.0, work, identity=1.0)
