"""Whether the losses of two models grow in the same direction of the pixels."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.types import Images
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import Array, mean_with_interval


class Directions(NamedTuple):
    """The input gradients of one model, float32 [n, C·H·W] for those in 16 or 32 bits, their norms, float64 [n], and
    the shape of an image."""

    gradients: NDArray[np.floating]
    norms: Array
    image: tuple[int, ...]


def prepare(gradients: NDArray[Any]) -> Directions:
    """Gradients [n, C, H, W] of any scale; 16 bits become 32."""
    rows = gradients.reshape(len(gradients), -1).astype(np.promote_types(gradients.dtype, np.float32))
    return Directions(rows, np.sqrt(inner(rows, rows)), gradients.shape[1:])


def inner(first: NDArray[np.floating], second: NDArray[np.floating]) -> Array:
    """The inner products of the rows of two arrays [n, D], summed in float64 [n]."""
    return np.asarray(np.einsum("nd,nd->n", first, second, dtype=np.float64))


def compute(
    a: Directions, b: Directions, labels: NDArray[np.int64] | None, confidence: float
) -> tuple[float, float, float]:
    """The mean cosine of input gradients, with its large-sample interval (Demontis et al., USENIX Security 2019, §3.3).
    An image for which a gradient is 0 is left out. NaN where the models take other pixels."""
    if a.image != b.image or len(a.norms) != len(b.norms) or not len(a.norms):
        return np.nan, np.nan, np.nan
    sizes = a.norms * b.norms
    cosines = np.divide(inner(a.gradients, b.gradients), sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
    return mean_with_interval(cosines, confidence, -1, 1)


def measure(images: Images) -> Measure:
    """The cosine for so many images."""
    needs = Outputs("gradients", images)
    return Measure("Cosine of input gradients", needs, -1.0, 1.0, compute, identity=1.0, prepare=prepare)
