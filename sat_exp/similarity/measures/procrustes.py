"""How well features of one model can be rotated onto those of another."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, jackknifed, samples, spread

ROUNDING = 1e-13  # share of the norm of features below which what their mean leaves is that of equal ones


class Points(NamedTuple):
    """The features of one model, centred, float64 [n, D]; and for each of the `samples`: their means, float64 [samples,
    D], and the Frobenius norms of what is left when these are subtracted, float64 [samples], NaN for equal features."""

    features: Array
    means: Array
    norms: Array


def compact(features: NDArray[Any]) -> Array:
    """Features [n, D] in their own coordinates where they have more dimensions than images, [n, n]: a rotation of the
    same points."""
    wide = features.astype(np.float64)
    return wide if wide.shape[1] <= len(wide) else np.asarray(np.linalg.qr(wide.T, mode="r")).T


def prepare(features: NDArray[Any], *, images: int) -> Points:
    """The part of a model with features [N, D]."""
    own = compact(features[spread(len(features), images)])
    points = own - own.mean(axis=0)
    chosen = [points[inside] for inside in samples(len(points))]
    means = np.array([each.mean(axis=0) for each in chosen])
    norms = np.array([np.linalg.norm(each - mean) for each, mean in zip(chosen, means, strict=True)])
    return Points(points, means, np.where(norms > ROUNDING * np.linalg.norm(own), norms, np.nan))


def compute(a: Points, b: Points, labels: NDArray[np.int64] | None, confidence: float) -> tuple[float, float, float]:
    """‖AᵀB‖_* of features [n, D], centred and of Frobenius norm 1, with the interval of the jackknife; NaN for features
    that are all equal. ‖·‖_* is the sum of the singular values.

    It is 1 − d²/2, where d² = min ‖A − BR‖² over orthogonal R is the squared Procrustes distance (Schönemann,
    Psychometrika 31, 1966; Ding, Denain and Steinhardt, NeurIPS 2021). With more features than images it is large for
    any two models. AᵀB of a sample is that of all images without that of the images left out.
    """
    products = a.features.T @ b.features

    def similarity(sample: int, inside: NDArray[np.bool_]) -> float:
        size = a.norms[sample] * b.norms[sample]
        if np.isnan(size):
            return np.nan
        left_out = a.features[~inside].T @ b.features[~inside]
        cross = products - left_out - inside.sum() * np.outer(a.means[sample], b.means[sample])
        return float(min(np.linalg.svd(cross, compute_uv=False).sum() / size, 1))

    return jackknifed([similarity(*each) for each in enumerate(samples(len(a.features)))], confidence, 0, 1)


def measure(images: Images) -> Measure:
    """Procrustes similarity on at most so many images."""
    return Measure(
        "Orthogonal Procrustes",
        Outputs("features"),
        0.0,
        1.0,
        compute,
        identity=1.0,
        prepare=partial(prepare, images=images),
    )
