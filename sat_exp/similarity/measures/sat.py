"""SAT as a measure among others; see `similarity.scores`."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from sat_exp.settings.configuration import Percentage
from sat_exp.similarity.measures import Measure, Transfers
from sat_exp.similarity.measures.transfer import Compare, counted
from sat_exp.similarity.scores import sat, sat_interval


def compute(
    a: Transfers, b: Transfers, labels: NDArray[np.int64] | None, confidence: float, *, compare: Compare, floor: float
) -> tuple[float, float, float]:
    """SAT with the interval of `sat_interval`; NaN where the pair was not measured both ways, where labels are needed
    and unknown, and without common images."""
    common, ab, ba = counted(a, b, labels, compare)
    if ab is None or ba is None or not common.any():
        return np.nan, np.nan, np.nan
    both, one = (ab & ba).sum(), (ab ^ ba).sum()
    low, high = sat_interval(both, one, common.sum() - both - one, floor=floor, confidence=confidence)
    return float(sat(common.sum(), ab.sum(), ba.sum(), floor)), float(low), float(high)


def measure(compare: Compare, floor: Percentage) -> Measure:
    """SAT on the images that `compare` states, as for `similarity.score`; floor: ε_s in percent."""
    title = "SAT" if compare == "truth" else f"SAT ({compare})"
    least, most = float(np.log(floor)), float(np.log(100))
    work = partial(compute, compare=compare, floor=floor)
    return Measure(title, "transfers", least, most, work, all_images=compare != "truth")
