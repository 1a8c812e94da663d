"""How well features of one model can be rotated onto those of another."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, Rows, jackknifed, spread


def normalised(features: Array) -> Array:
    """Features [n, D] with mean 0 and Frobenius norm 1; zeros where all are equal."""
    shifted = features - features.mean(axis=0)
    size = np.linalg.norm(shifted)
    return shifted / size if size > 0 else shifted


def compact(features: NDArray[Any]) -> Array:
    """Features [n, D] in their own coordinates where they have more dimensions than images, [n, n]: a rotation of the
    same points."""
    wide = features.astype(np.float64)
    return wide if wide.shape[1] <= len(wide) else np.asarray(np.linalg.qr(wide.T, mode="r")).T


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float, *, images: int
) -> tuple[float, float, float]:
    """‖AᵀB‖_* of features [N, D], centred and of Frobenius norm 1, with the interval of the jackknife; NaN for features
    that are all equal. ‖·‖_* is the sum of the singular values.

    It is 1 − d²/2, where d² = min ‖A − BR‖² over orthogonal R is the squared Procrustes distance (Schönemann,
    Psychometrika 31, 1966; Ding, Denain and Steinhardt, NeurIPS 2021). With more features than images it is large for
    any two models.
    """
    rows = spread(len(a), images)
    first, second = (compact(features[rows]) for features in (a, b))

    def statistic(rows: Rows) -> float:
        one, other = normalised(first[rows]), normalised(second[rows])
        if len(rows) < 2 or not (one.any() and other.any()):
            return np.nan
        return float(min(np.linalg.svd(one.T @ other, compute_uv=False).sum(), 1))

    return jackknifed(statistic, len(rows), confidence, 0, 1)


def measure(images: Images) -> Measure:
    """Procrustes similarity on at most so many images."""
    work = partial(compute, images=images)
    return Measure("Orthogonal Procrustes", Outputs("features"), 0.0, 1.0, work, identity=1.0)
