"""Whether two models divide the space between images in the same way."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sat_exp.settings.types import Count
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.similarity.over_images import mean_with_interval


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float
) -> tuple[float, float, float]:
    """The mean share of grid points for which both models predict one class, for predicted classes int [planes,
    points], with its large-sample interval over planes (Somepalli et al., Can Neural Nets Learn the Same Model Twice?,
    CVPR 2022, §3.2). NaN where the models take other pixels."""
    if a.shape != b.shape or not len(a):
        return np.nan, np.nan, np.nan
    return mean_with_interval((a == b).mean(axis=1), confidence, 0, 1)


def measure(planes: Count, side: Annotated[int, Field(ge=2, le=1000)]) -> Measure:
    """The share on so many planes, with a grid of side × side points on each."""
    needs = Outputs("boundaries", planes, side)
    return Measure("Agreement of decision boundaries", needs, 0.0, 1.0, compute, identity=1.0)
