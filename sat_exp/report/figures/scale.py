"""Scales of SAT: the range of its colours, and the percentages on a second axis."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sat_exp.report import theme
from sat_exp.report.results import LOG_100

PERCENT_TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100)


def sat_range(sat: pd.Series) -> tuple[float, float]:
    """The ends of the colour scale: those of the pairs, within 0 (1 %) and log 100.

    The upper end is a tenth higher, so that the diagonal is darker than the most similar pair.
    """
    known = sat[np.isfinite(sat)]
    if known.empty:
        return 0.0, LOG_100
    low, high = max(float(known.min()), 0.0), max(float(known.max()), 0.5)
    low = min(low, high - 0.5)
    return low, min(high + 0.1 * (high - low), LOG_100)


def percent_ticks(axes: Axes, low: float, high: float, label: str = "") -> None:
    """Add a scale in percent on top of an axis of SAT."""
    ends = np.exp([low, high + 1e-9])
    candidates: list[np.ndarray] = [np.array(PERCENT_TICKS), np.asarray(MaxNLocator(5).tick_values(*ends))]
    inside = [values[(values >= ends[0]) & (values <= ends[1])] for values in candidates]
    ticks = inside[0] if len(inside[0]) > 2 else inside[1]
    above = axes.secondary_xaxis("top")
    above.set_xticks(np.log(ticks), [f"{percent:g}" for percent in ticks])
    above.tick_params(labelsize=8, color=theme.QUIET)
    above.set_xlabel(label, fontsize=8.5)
