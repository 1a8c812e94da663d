"""Whether the losses of two models grow in the same direction of the pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import mean_with_interval


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float
) -> tuple[float, float, float]:
    """The mean cosine of input gradients [n, C, H, W] of any scale, with its large-sample interval (Demontis et al.,
    USENIX Security 2019, §3.3). An image for which a gradient is 0 is left out. NaN where the models take other
    pixels."""
    if a.shape != b.shape or not len(a):
        return np.nan, np.nan, np.nan
    first, second = (gradients.reshape(len(gradients), -1).astype(np.float64) for gradients in (a, b))
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    cosines = np.divide(products, sizes, out=np.full(len(a), np.nan), where=sizes > 0)
    return mean_with_interval(cosines, confidence, -1, 1)


def measure(images: Images) -> Measure:
    """The cosine for so many images."""
    needs = Outputs("gradients", images)
    return Measure("Cosine of input gradients", needs, -1.0, 1.0, compute, identity=1.0)
