"""Measures from predicted classes: equal answers, and errors on the same images. See `similarity.agreement`."""

from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat_exp.similarity.agreement import measures_of_counts
from sat_exp.similarity.measures import Measure

Column = Literal["agreement", "error_consistency", "error_overlap", "disagreement", "same_error"]


def compute(
    a: NDArray[Any], b: NDArray[Any], labels: NDArray[np.int64] | None, confidence: float, *, of: str
) -> tuple[float, float, float]:
    """The column `of` of the table `agreement`, with the ends of its interval."""
    unknown = np.full(len(a), np.nan)
    first, second = (unknown if labels is None else (each == labels).astype(np.float64) for each in (a, b))
    counts = first.sum(), second.sum(), first @ second
    found = measures_of_counts((a == b).sum(), *counts, len(a), confidence)
    return float(found[of]), float(found[f"{of}_low"]), float(found[f"{of}_high"])


TITLES: dict[str, tuple[str, float | None]] = {
    "agreement": ("Equal predictions", 1.0),
    "error_consistency": ("Error consistency (κ)", 1.0),
    "error_overlap": ("Images that both classify wrongly", None),
    "disagreement": ("Images that one of the two classifies correctly", 0.0),
    "same_error": ("Equal predictions on images that both classify wrongly", 1.0),
}
"""The title and the value of a model with itself."""


def measure(of: Column) -> Measure:
    """The measure in the column `of` of the table `agreement`: shares with Wilson's intervals, κ with a large-sample
    one."""
    title, identity = TITLES[of]
    low = -1.0 if of == "error_consistency" else 0.0
    return Measure(title, "predictions", low, 1.0, partial(compute, of=of), identity=identity)
