"""Clusters of models, with and without hubs, and their stability."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import heatmap, results, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.theme import Drawing


@theme.style()
def clustered(pairs: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles) -> Drawing:
    """SAT with the models in the order of their clusters."""
    low, high = float(pairs["sat"].min()), float(pairs["sat"].max())
    square, groups = _ordered(pairs, "sat", clusters, "cluster")
    scale = {"cmap": "rocket_r", "low": low, "high": high, "label": "SAT", "digits": ".2f"}
    caption = (
        "SAT. Boxes are clusters, numbered by size. They come from spectral clustering (Ng, Jordan and Weiss, on the "
        "matrix itself). Inside a cluster, models are in the order of average linkage. Darker pairs are more similar."
    )
    return _boxed(square, groups, families, styles, scale, "Clusters", caption)


@theme.style()
def without_hubs(pairs: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles) -> Drawing:
    """SAT minus the effects of both models, with the models in the order of the clusters found in it."""
    most = float(pairs["residual"].abs().quantile(0.995))
    square, groups = _ordered(pairs, "residual", clusters, "without_hubs")
    label = "SAT beyond what the two models share with all others"
    scale = {"cmap": "vlag", "low": -most, "high": most, "label": label, "digits": ".1f"}
    caption = (
        "A model that everything fools, or whose attacks fool everything, is near to all others. Here least squares "
        "removes each model's own effect from SAT. Red pairs are more similar than their models' averages predict, "
        "blue pairs less. Boxes are clusters of this matrix."
    )
    return _boxed(square, groups, families, styles, scale, "Without hubs", caption)


@theme.style()
def consensus(
    table: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles, repeated: str
) -> Drawing:
    """How often two models are in one cluster when SAT is clustered again; repeated: what changes each time."""
    square, groups = _ordered(table[table["matrix"] == "SAT"], "share", clusters, "cluster")
    label = "share of repetitions with both in one cluster"
    scale = {"cmap": "mako_r", "low": 0, "high": 1, "label": label, "digits": ".2f"}
    caption = (
        f"The clustering of SAT is repeated {repeated}. A cluster that is dark inside and light outside is found every "
        "time. Shades in between depend on the draw. Boxes are the clusters of the whole matrix."
    )
    return _boxed(square, groups, families, styles, scale, "Consensus", caption)


@theme.style()
def stability(table: pd.DataFrame, repeated: str) -> Drawing:
    """Agreement of repeated clusterings, and the eigengap, by the number of clusters; repeated: what changes."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (matrix, rows), colour in zip(table.groupby("matrix"), (theme.GOOD, theme.BAD), strict=False):
        left.plot(rows["clusters"], rows["between_runs"], "o-", color=colour, markersize=4, label=str(matrix))
        right.plot(rows["clusters"], rows["eigengap"], "o-", color=colour, markersize=4)
    left.axhline(0.9, color=theme.QUIET, linewidth=0.8, linestyle="--")
    left.set(ylim=(0, 1.02), xlabel="clusters", ylabel="adjusted Rand index between runs")
    right.set(xlabel="clusters", ylabel="eigengap after this number")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper left", ncols=2)
    return Drawing(
        figure,
        table,
        "Number of clusters",
        f"Left: mean agreement of two repetitions of the clustering {repeated}, by the number of clusters. From the "
        "dashed line on, two clusterings count as the same. Right: the gap after each eigenvalue. It is wide where "
        "the matrix has that number of clear groups.",
    )


def _boxed(
    square: pd.DataFrame,
    groups: list[int],
    families: Mapping[str, str],
    styles: Styles,
    scale: Mapping[str, Any],
    heading: str,
    caption: str,
) -> Drawing:
    """A heat map of a matrix [M, M] with a box around each cluster; groups: the cluster of each model."""
    figure = heatmap.whole(square, families, styles, groups=groups, **scale)
    return Drawing(figure, square.assign(cluster=groups).rename_axis("model"), heading, caption)


def _ordered(pairs: pd.DataFrame, column: str, clusters: pd.DataFrame, by: str) -> tuple[pd.DataFrame, list[int]]:
    """The matrix [M, M] of a column of pairs, models by cluster and then by average linkage; the cluster of each."""
    square = results.square(pairs, column)
    group = clusters.set_index("model")[by]
    order = sorted(results.leaf_order(square), key=lambda name: group[name])
    return square.loc[order, order], [int(group[name]) for name in order]
