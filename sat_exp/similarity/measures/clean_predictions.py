"""Measures from predicted classes: equal answers, and errors on the same images. See `similarity.agreement`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_exp.similarity.agreement import agreement
from sat_exp.similarity.measures import Measure


def measure(name: str, title: str, low: float = 0.0, identity: float | None = None) -> Measure:
    """The measure in the column `name` of the table `agreement`."""

    def compute(
        a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float
    ) -> tuple[float, float, float]:
        row = agreement(["a", "b"], labels, {"a": a, "b": b}, confidence=confidence).iloc[0]
        return float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"])

    return Measure(name, title, "predictions", low, 1.0, compute, identity=identity)


MEASURES = (
    measure("agreement", "Equal predictions", identity=1.0),
    measure("error_consistency", "Error consistency (κ)", low=-1.0, identity=1.0),
    measure("error_overlap", "Images that both classify wrongly"),
    measure("disagreement", "Images that one of the two classifies correctly", identity=0.0),
    measure("same_error", "Equal predictions on images that both classify wrongly", identity=1.0),
)
