"""The figure of directed transfer rates: rows are sources, columns are targets, bars are means."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat_exp import similarity
from sat_exp.report import heatmap, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.origin import Origin
from sat_exp.report.results import leaf_order, model_families
from sat_exp.report.theme import Drawing
from sat_exp.similarity.scores import between_models, square


@theme.style()
def draw(pairs: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """Transfer rates in percent as a heat map, models in the order of the tree of SAT where it is known."""
    rate = square(pairs, "transfer_rate_ab", "transfer_rate_ba")
    scored = between_models(pairs)["sat"].notna().any()
    others = rate.mask(np.eye(len(rate), dtype=bool))
    by_target = others.mean().sort_values(ascending=False)
    order = leaf_order(similarity.matrix(pairs)) if scored else list(by_target.index)
    rate, others = 100 * rate.loc[order, order], 100 * others.loc[order, order]
    attacked = others.notna().any(axis=1)
    rate, others = rate[attacked], others[attacked]
    families = model_families(pairs)

    side, cell = heatmap.side_of(len(order))
    height, bars = cell * len(rate), len(order) > 2
    figure = Figure(figsize=(side + 6, height + 6))
    high = min(100.0, max(30.0, 1.12 * float(others.max(axis=None)))) if others.notna().to_numpy().any() else 100.0
    heat = heatmap.axes_at(figure, 2.8, 2.8, side, height)
    heatmap.cells(heat, rate, cell, cmap="mako_r", vmin=0, vmax=high, fmt=".0f")
    rows, columns = heatmap.names(figure, heat, cell, rate, families, styles)
    rows.set_ylabel("source: the images were made on" if height > 2 else "source", labelpad=8)
    columns.set_xlabel("target: evaluated on the images", labelpad=8)
    if bars:
        _means(figure, others, side, height)
    heatmap.colour_bar(figure, heat, 2.8 + height + (1.2 if bars else 0.42), "mako_r", 0, high, "transfer rate (%)")
    top = 2.8 + height + (0.9 if height < 2 else 0.0)
    heatmap.family_legend(figure, 2.8 + side + 1.1, top, rate, families, styles)
    text = caption(rate, high, origin, clustered=scored and bars)
    return Drawing(figure, rate.rename_axis("source"), "Transfer in each direction", text)


def caption(rate: pd.DataFrame, high: float, origin: Origin, clustered: bool) -> str:
    """The caption of `rate`, rows the sources, on a colour scale up to `high`; clustered: whether models are in the
    order of the tree."""
    text = (
        f"The share of images, in percent, on which the model of the column is fooled by {origin.attack.images} of the "
        f"model of the row, among {origin.common}."
    )
    if any(np.isfinite(rate.loc[name, name]) for name in rate.index):
        text += " On the diagonal a model is evaluated on its own images."
    if (rate > high).any(axis=None):
        text += " Rates beyond the colour scale have its last colour."
    if len(rate.columns) < 3:
        return text
    order = "of average-linkage clustering of SAT" if clustered else "of their mean as a target, the highest first"
    return (
        f"{text} Models are in the order {order}. The bars are means without the diagonal. A long bar at the right is "
        "a model whose attacks transfer well; a tall bar on top is a model that others fool easily."
    )


def _means(figure: Figure, rates: pd.DataFrame, side: float, height: float) -> None:
    right = heatmap.axes_at(figure, 2.8 + side + 0.08, 2.8, 0.8, height)
    _bars(right, rates.mean(axis=1), horizontal=True)
    right.set_title("mean as\nsource", fontsize=7.5, loc="left", color=theme.QUIET)
    above = heatmap.axes_at(figure, 2.8, 2.8 + height + 0.08, side, 0.8)
    _bars(above, rates.mean(axis=0), horizontal=False)
    above.set_ylabel("mean as\ntarget", fontsize=7.5, rotation=0, ha="right", va="center", color=theme.QUIET)


def _bars(axes: Axes, means: pd.Series, horizontal: bool) -> None:
    """One bar per model along the rows (`horizontal`) or the columns of the heat map; few bars have their values."""
    middle = np.arange(len(means)) + 0.5
    longest = float(means.max()) if (means > 0).any() else 1.0
    if horizontal:
        axes.barh(middle, means, height=0.72, color="#a9b4bd")
        axes.set(ylim=(len(means), 0), xlim=(0, 1.02 * longest))
    else:
        axes.bar(middle, means, width=0.72, color="#a9b4bd")
        axes.set(xlim=(0, len(means)), ylim=(0, 1.02 * longest))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if len(means) > heatmap.ANNOTATED:
        return
    aligned: dict[str, Any] = {"ha": "left", "va": "center"} if horizontal else {"ha": "center", "va": "bottom"}
    for position, mean in zip(middle, means, strict=True):
        x, y = (0.06 * longest, position) if horizontal else (position, 0.06 * longest)
        axes.text(x, y, f"{mean:.0f}" if np.isfinite(mean) else "–", fontsize=7.5, **aligned)
