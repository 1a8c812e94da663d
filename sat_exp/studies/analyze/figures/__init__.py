"""The figures of an analysis; here those of clusters of models, with and without hubs, and of their stability."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import heatmap, results, theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.similarity import scores
from sat_exp.studies.analyze.figures import measures


@theme.style()
def drawings(found: Results) -> dict[str, Drawing]:
    """The figures by name, in the order of the page; empty for a run that is no analysis."""
    tables = found.own
    if "cluster_stability" not in tables:
        return {}
    repeated = "on other draws of the images" if "sample_size" in tables else "on SAT with other sampling errors added"
    drawn = {"clusters": clustered(found), "without_hubs": without_hubs(found)}
    if "consensus" in tables and (tables["consensus"]["matrix"] == "SAT").any():
        drawn["consensus"] = consensus(found, repeated)
    drawn["cluster_stability"] = stability(tables["cluster_stability"], repeated)
    drawn["embedding"] = measures.embedding(tables["embedding"], tables["clusters"])
    if "directed" in tables:
        drawn["directed"] = measures.directed(found)
    if "importance" in tables:
        drawn["importance"] = measures.importance(tables["importance"])
    if "regimes" in tables:
        drawn["regimes"] = measures.regimes(tables["regime_pairs"], tables["regimes"])
    if "controls" in tables:
        drawn["controls"] = measures.controls(tables["controls"], tables["controls_and_sat"])
    if "sample_size" in tables:
        drawn["sample_size"] = measures.sample_size(tables["sample_size"])
    return drawn


def clustered(found: Results) -> Drawing:
    """SAT with the models in the order of their clusters."""
    pairs = found.own["pairs_without_hubs"]
    low, high = float(pairs["sat"].min()), float(pairs["sat"].max())
    scale = {"cmap": "rocket_r", "low": low, "high": high, "label": "SAT", "digits": ".2f"}
    caption = (
        "SAT. Boxes are clusters, numbered by size. They come from spectral clustering (Ng, Jordan and Weiss, on the "
        "matrix itself). Inside a cluster, models are in the order of average linkage. Darker pairs are more similar."
    )
    return _boxed(found, pairs, "sat", "cluster", scale, "Clusters", caption)


def without_hubs(found: Results) -> Drawing:
    """SAT minus the effects of both models, with the models in the order of the clusters found in it."""
    pairs = found.own["pairs_without_hubs"]
    most = float(pairs["residual"].abs().quantile(0.995))
    label = "SAT beyond what the two models share with all others"
    scale = {"cmap": "vlag", "low": -most, "high": most, "label": label, "digits": ".1f"}
    caption = (
        "A model that everything fools, or whose attacks fool everything, is near to all others. Here least squares "
        "removes each model's own effect from SAT. Red pairs are more similar than their models' averages predict, "
        "blue pairs less. Boxes are clusters of this matrix."
    )
    return _boxed(found, pairs, "residual", "without_hubs", scale, "Without hubs", caption)


def consensus(found: Results, repeated: str) -> Drawing:
    """How often two models are in one cluster when SAT is clustered again; repeated: what changes each time."""
    table = found.own["consensus"]
    label = "share of repetitions with both in one cluster"
    scale = {"cmap": "mako_r", "low": 0, "high": 1, "label": label, "digits": ".2f"}
    caption = (
        f"The clustering of SAT is repeated {repeated}. A cluster that is dark inside and light outside is found every "
        "time. Shades in between depend on the draw. Boxes are the clusters of the whole matrix."
    )
    return _boxed(found, table[table["matrix"] == "SAT"], "share", "cluster", scale, "Consensus", caption)


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
    found: Results, pairs: pd.DataFrame, column: str, by: str, scale: dict[str, Any], heading: str, caption: str
) -> Drawing:
    """A heat map of a column of `pairs`, with a box around each cluster of column `by` of the table `clusters`.

    Models are in the order of clusters and then of average linkage.
    """
    square = scores.square(pairs, column)
    cluster = found.own["clusters"].set_index("model")[by]
    order = sorted(results.leaf_order(square), key=lambda name: cluster[name])
    square, groups = square.loc[order, order], [int(cluster[name]) for name in order]
    figure = heatmap.whole(square, found.families, found.styles, groups=groups, **scale)
    return Drawing(figure, square.assign(cluster=groups).rename_axis("model"), heading, caption)
