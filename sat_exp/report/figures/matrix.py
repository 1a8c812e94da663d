"""The figure of SAT of all pairs: a heat map with the tree of the models."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from sat_exp import similarity
from sat_exp.report import heatmap, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.origin import Origin
from sat_exp.report.results import LOG_100, model_families, tree
from sat_exp.report.theme import Drawing
from sat_exp.similarity.scores import between_models


@theme.style()
def draw(pairs: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """SAT as a heat map in the order of the tree at its right; models without a scored pair are left out."""
    scored = between_models(pairs).dropna(subset=["sat"])
    kept = {*scored["model_a"], *scored["model_b"]}
    pairs = pairs[pairs["model_a"].isin(kept) & pairs["model_b"].isin(kept)]
    sat = similarity.matrix(pairs)
    linkage = tree(sat).linkage
    dendrogram: dict[str, Any] = hierarchy.dendrogram(linkage, no_plot=True)
    sat = sat.iloc[dendrogram["leaves"], dendrogram["leaves"]]
    families = model_families(pairs)

    side, cell = heatmap.side_of(len(sat))
    figure = Figure(figsize=(side + 6, side + 5))
    most = max(scored["sat"].max(), 0.5)
    low = min(max(scored["sat"].min(), 0.0), most - 0.5)
    high = min(most + 0.1 * (most - low), LOG_100)  # the diagonal is darker than the most similar pair
    heat = heatmap.axes_at(figure, 2.8, 2.8, side, side)
    heatmap.cells(heat, sat, cell, cmap="rocket_r", vmin=low, vmax=high, fmt=".2f")
    heatmap.names(figure, heat, cell, sat, families, styles)

    branches = heatmap.axes_at(figure, 2.8 + side + 0.06, 2.8, 0.9, side)
    # scipy puts leaf k at 10 k + 5
    lines = [
        np.column_stack([height, np.divide(position, 10)])
        for position, height in zip(dendrogram["icoord"], dendrogram["dcoord"], strict=True)
    ]
    branches.add_collection(LineCollection(lines, colors=theme.INK, linewidths=0.8))
    branches.set(xlim=(0, 1.02 * linkage[:, 2].max() or 1), ylim=(len(sat), 0))
    branches.axis("off")

    label = "SAT  (ln of the mean transfer rate in %)"
    bar = heatmap.colour_bar(figure, heat, 2.8 + side + 0.42, "rocket_r", low, high, label)
    heatmap.percent_ticks(bar, low, high)
    heatmap.family_legend(figure, 2.8 + side + 1.1, 2.8 + side, sat, families, styles)
    return Drawing(figure, sat.rename_axis("model"), "Similarity of all pairs", caption(sat, high, origin))


def caption(sat: pd.DataFrame, high: float, origin: Origin) -> str:
    """The caption of the matrix [M, M] on a colour scale up to `high`."""
    what = "SAT, read from a file, is assumed to be" if origin.stated else "SAT is"
    sentences = [
        f"{what} the natural log of the mean of both transfer rates in percent (upper scale of the colour bar). The "
        "darker a pair, the more similar its models. The matrix is symmetric."
    ]
    if not origin.stated:
        sentences.append(f"A pair is compared on {origin.common}.")
    sentences.append(
        "The order of rows and columns and the tree come from average-linkage clustering with distance log 100 − SAT. "
        "Models that join further left in the tree are more similar."
    )
    if sat.mask(np.eye(len(sat), dtype=bool), 0.0).isna().any(axis=None):
        sentences.append("In the tree, a pair that was not measured counts as an average one.")
    diagonal = np.diag(sat)
    if np.isfinite(diagonal).any():
        what = "comes from the file" if origin.stated else "is each model against its own attack"
        beyond = " and is beyond the colour scale" if np.nanmin(diagonal) > high else ""
        sentences.append(f"The diagonal {what}{beyond}.")
    return " ".join([*sentences, "The colour next to a name is that of its family."])
