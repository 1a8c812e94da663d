"""The figures of an analysis: clusters and how stable they are, what is left without hubs, good sources and easy
targets, the models in a plane, controls, sample size, training regimes, the weight of components."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import heatmap, results, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.theme import Drawing

MEASURES = {
    "noise_sat": "log of the mean rate fooled by noise (%)",
    "agreement": "same prediction, share of images",
    "error_consistency": "error consistency κ",
}

WORDS = {
    "noise_sat": "how often random noise of the attack's size changes the two models' predictions",
    "agreement": "how often their clean predictions are the same",
    "error_consistency": "how far they err on the same images beyond chance (Geirhos et al. 2020)",
}


def drawings(tables: Mapping[str, pd.DataFrame], families: Mapping[str, str], styles: Styles) -> dict[str, Drawing]:
    """The figures of those `tables` of an analysis that there are, in the order of the page."""
    left, clusters = tables["pairs_without_hubs"], tables["clusters"]
    drawn = {
        "clusters": clustered(left, clusters, families, styles),
        "without_hubs": without_hubs(left, clusters, families, styles),
    }
    again = "on other draws of the images" if "sample_size" in tables else "on SAT with other sampling errors added"
    if "consensus" in tables and (tables["consensus"]["matrix"] == "SAT").any():
        drawn["consensus"] = consensus(tables["consensus"], clusters, families, styles, again)
    drawn["cluster_stability"] = stability(tables["cluster_stability"], again)
    drawn["embedding"] = embedding(tables["embedding"], clusters)
    if "directed" in tables:
        drawn["directed"] = directed(tables["directed"], families, styles)
    if "importance" in tables:
        drawn["importance"] = importance(tables["importance"])
    if "regimes" in tables:
        drawn["regimes"] = regimes(tables["regime_pairs"], tables["regimes"])
    if "controls" in tables:
        drawn["controls"] = controls(tables["controls"], tables["controls_and_sat"])
    if "sample_size" in tables:
        drawn["sample_size"] = sample_size(tables["sample_size"])
    return drawn


@theme.style()
def clustered(pairs: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles) -> Drawing:
    """SAT in the order of the clusters, which are boxed."""
    sat, groups = _ordered(pairs, "sat", clusters, "cluster")
    low, high = float(pairs["sat"].min()), float(pairs["sat"].max())
    figure = heatmap.whole(
        sat, families, styles, cmap="rocket_r", low=low, high=high, label="SAT", digits=".2f", groups=groups
    )
    return Drawing(
        figure,
        sat.assign(cluster=groups).rename_axis("model"),
        "Clusters",
        "SAT. The boxes are clusters, numbered by size, found by spectral clustering (Ng, Jordan and Weiss on the "
        "matrix itself); inside a cluster models are in the order of average linkage. Darker pairs are more alike.",
    )


@theme.style()
def without_hubs(pairs: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles) -> Drawing:
    """What two models share beyond what each shares with everyone, in the order of the clusters found in it."""
    left, groups = _ordered(pairs, "residual", clusters, "without_hubs")
    most = float(pairs["residual"].abs().quantile(0.995))
    label = "SAT beyond what the two models share with everyone"
    figure = heatmap.whole(
        left, families, styles, cmap="vlag", low=-most, high=most, label=label, digits=".1f", groups=groups
    )
    return Drawing(
        figure,
        left.assign(cluster=groups).rename_axis("model"),
        "Without hubs",
        "A model that is fooled by everything, or whose attacks fool everyone, is near to all others. Here each "
        "model's own part is taken off SAT by least squares: red pairs are more alike than their models' averages say, "
        "blue ones less. The boxes are clusters of this matrix.",
    )


@theme.style()
def consensus(
    table: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str], styles: Styles, again: str
) -> Drawing:
    """How often two models fall into one cluster when the clustering of SAT is repeated, `again` on what."""
    share, groups = _ordered(table[table["matrix"] == "SAT"], "share", clusters, "cluster")
    label = "share of repetitions that put the two together"
    figure = heatmap.whole(
        share, families, styles, cmap="mako_r", low=0, high=1, label=label, digits=".2f", groups=groups
    )
    return Drawing(
        figure,
        share.assign(cluster=groups).rename_axis("model"),
        "Consensus",
        f"The clustering of SAT is repeated {again}. A cluster that is dark inside and light outside is there each "
        "time; shades in between depend on the draw. The boxes are the clusters of the whole.",
    )


@theme.style()
def stability(table: pd.DataFrame, again: str) -> Drawing:
    """Agreement of clusterings repeated `again` on other matrices, and the eigengap, against the number of clusters."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (matrix, rows), colour in zip(table.groupby("matrix"), (theme.GOOD, theme.BAD), strict=False):
        left.plot(rows["clusters"], rows["between_runs"], "o-", color=colour, markersize=4, label=str(matrix))
        right.plot(rows["clusters"], rows["eigengap"], "o-", color=colour, markersize=4)
    left.axhline(0.9, color=theme.QUIET, linewidth=0.8, linestyle="--")
    left.set(ylim=(0, 1.02), xlabel="clusters", ylabel="adjusted Rand index between runs")
    right.set(xlabel="clusters", ylabel="eigengap after so many")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper left", ncols=2)
    return Drawing(
        figure,
        table,
        "How many clusters",
        f"Left: how well two repetitions of the clustering {again} agree in the mean, by the number of clusters asked "
        "for; from the dashed line on they count as the same. Right: the gap after so many eigenvalues, wide where "
        "there are so many clear groups.",
    )


@theme.style()
def embedding(points: pd.DataFrame, clusters: pd.DataFrame) -> Drawing:
    """The models in a plane, a panel a method, coloured and marked by cluster."""
    styles = theme.family_styles(f"{number:03d}" for number in clusters["cluster"])
    methods = list(points["method"].unique())
    figure = Figure(figsize=(9 * len(methods), 8), layout="constrained")
    for axes, method in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        placed = points[points["method"] == method].merge(clusters, on="model")
        for number, members in placed.groupby("cluster"):
            style = styles[f"{number:03d}"]
            axes.scatter(members["x"], members["y"], s=34, color=style.colour, marker=style.marker, label=f"{number}")
        axes.set(xticks=[], yticks=[], aspect="equal" if method == "classical" else "auto")
        axes.spines[:].set_visible(False)
        axes.set_title(method, loc="left")
        theme.label(axes, placed["x"], placed["y"], placed["model"])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title="cluster")
    return Drawing(
        figure,
        points.merge(clusters[["model", "cluster"]], on="model"),
        "Models in a plane",
        "Close together are models that are alike: the distance of two is log 100 − SAT. Colours are clusters of SAT. "
        "Classical scaling keeps distances as well as two axes can and is "
        "the same every time; t-SNE keeps neighbours and says nothing of distances between groups.",
    )


@theme.style()
def directed(table: pd.DataFrame, families: Mapping[str, str], styles: Styles) -> Drawing:
    """Good sources and easy targets."""
    figure = Figure(figsize=(9.5, 7.5), layout="constrained")
    axes = figure.subplots()
    shown = table.assign(family=table["model"].map(families))
    for family, members in shown.groupby("family"):
        style = styles[str(family)]
        axes.scatter(
            100 * members["source"],
            100 * members["target"],
            s=38,
            color=style.colour,
            marker=style.marker,
            label=family,
        )
    for line in (axes.axhline, axes.axvline):
        line(0, color=theme.QUIET, linewidth=0.8)
    axes.set(
        xlabel="as a source: fools others more than the average model does (percentage points)",
        ylabel="as a target: is fooled more (percentage points)",
    )
    theme.label(axes, 100 * shown["source"], 100 * shown["target"], shown["model"])
    figure.legend(loc="outside right upper", title="family", ncols=1 + (shown["family"].nunique() > 25))
    return Drawing(
        figure,
        shown,
        "Good sources and easy targets",
        "Each model's own part in transfer rates, in both directions, by least squares, less the average model's. At "
        "the right are models whose images fool others, on top models that everything fools.",
    )


@theme.style()
def controls(pairs: pd.DataFrame, relations: pd.DataFrame) -> Drawing:
    """SAT against what the same pairs share without a gradient."""
    measures = [measure for measure in MEASURES if measure in pairs and pairs[measure].notna().any()]
    figure = Figure(figsize=(4.2 * len(measures) + 0.6, 4.2), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        axes.scatter(
            pairs[measure], pairs["sat"], s=float(np.clip(6000 / len(pairs), 6, 30)), color=theme.GOOD, alpha=0.5
        )
        axes.set(xlabel=MEASURES[measure], ylabel="SAT")
        for row in relations[(relations["measure"] == measure) & (relations["given"] == "")].to_dict("records"):
            words = f"rank correlation {row['spearman']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
            axes.set_title(words, loc="left", fontsize=9)
    return Drawing(
        figure,
        pairs,
        "What the attack adds",
        f"Each dot is a pair: its SAT against what needs no gradient, {'; '.join(WORDS[name] for name in measures)}. "
        "Where that says the same as SAT the attack adds nothing. Intervals of correlations, 95 %, come from drawing "
        "models.",
    )


@theme.style()
def sample_size(table: pd.DataFrame) -> Drawing:
    """How close SAT from fewer images comes to SAT from all, against the number of images."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    ranks = {
        "spearman": "rank correlation with all images",
        "spearman_disjoint": "rank correlation with as many others",
        "same_nearest": "models with the same nearest neighbour",
    }
    for (measure, label), colour in zip(ranks.items(), (theme.GOOD, theme.BAD, theme.QUIET), strict=True):
        rows = table[table["measure"] == measure].dropna(subset="value")
        left.plot(rows["images"], rows["value"], "o-", color=colour, markersize=4, label=label)
        left.fill_between(rows["images"], rows["low"], rows["high"], color=colour, alpha=0.12, linewidth=0)
    rows = table[table["measure"] == "mean_absolute_error"].dropna(subset="value")
    right.plot(rows["images"], rows["value"], "o-", color=theme.INK, markersize=4)
    right.fill_between(rows["images"], rows["low"], rows["high"], color=theme.INK, alpha=0.12, linewidth=0)
    left.set(xscale="log", ylim=(0, 1.02), xlabel="images")
    right.set(xscale="log", xlabel="images", ylabel="mean absolute error of SAT")
    for axes in (left, right):
        axes.xaxis.set_major_formatter("{x:g}")
    right.set_ylim(bottom=0)
    left.legend(loc="lower right")
    return Drawing(
        figure,
        table,
        "How many images",
        "SAT from some of the images, drawn at random without replacement, against SAT from all of them and from as "
        "many others: means over draws; bands hold 95 % of the draws.",
    )


@theme.style()
def regimes(pairs: pd.DataFrame, averages: pd.DataFrame) -> Drawing:
    """SAT of every pair by what its two models share, with the mean of each kind and its interval."""
    kinds = [kind for kind in averages["kind"] if kind in set(pairs["kind"])]
    figure = Figure(figsize=(8, 0.7 * len(kinds) + 1), layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for place, kind in enumerate(kinds):
        values = pairs.loc[pairs["kind"] == kind, "sat"]
        axes.scatter(values, place + spread.uniform(-0.2, 0.2, len(values)), s=14, color=theme.GOOD, alpha=0.5)
        row = averages[averages["kind"] == kind].iloc[0]
        axes.plot([row["low"], row["high"]], [place, place], color=theme.BAD, linewidth=2)
        axes.plot(row["mean"], place, "D", color=theme.BAD, markersize=6)
    axes.set(yticks=range(len(kinds)), yticklabels=kinds, xlabel="SAT", ylim=(len(kinds) - 0.5, -0.5))
    return Drawing(
        figure,
        pairs,
        "Architecture, initialisation and recipe",
        "Each dot is a pair of models, by what the two share; diamonds are means with 95 % intervals from drawing "
        "architectures and their models.",
    )


@theme.style()
def importance(table: pd.DataFrame) -> Drawing:
    """The paper's importance of components beside that for models left out, with their intervals."""
    rows = np.arange(len(table))
    figure = Figure(figsize=(10, 0.32 * len(table) + 1.2), layout="constrained")
    panels = {"importance": "on the pairs fitted to (the paper's)", "shuffled": "on pairs with a model left out"}
    for axes, (column, title) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        axes.barh(rows, table[column], color="#a9b4bd", height=0.7)
        axes.hlines(rows, table[f"{column}_low"], table[f"{column}_high"], color=theme.INK, linewidth=1)
        axes.set(yticks=rows, yticklabels=[str(name).replace("_", " ") for name in table["component"]])
        axes.set_title(title, loc="left")
        axes.set_xlabel("R² lost when the component is shuffled")
        axes.axvline(0, color=theme.QUIET, linewidth=0.8)
    figure.axes[0].invert_yaxis()
    return Drawing(
        figure,
        table,
        "Components",
        "How much worse gradient boosting predicts SAT when a component is shuffled. Left as in the paper: it is told "
        "in which components two models differ, and judged on the pairs it was fitted to. Right: it is told the values "
        "that meet, and judged on pairs with one model that it has not seen; a line that reaches 0 there belongs to a "
        "component that may tell nothing of new models. Lines are 95 % intervals from drawing models, fitted anew for "
        "each draw at the left only.",
    )


def _ordered(pairs: pd.DataFrame, column: str, clusters: pd.DataFrame, by: str) -> tuple[pd.DataFrame, list[int]]:
    """The symmetric matrix of a column of pairs, models along the tree inside their clusters; each one's cluster."""
    square = results.symmetric(pairs, column)
    group = clusters.set_index("model")[by]
    order = sorted(results.leaf_order(square), key=lambda name: group[name])
    return square.loc[order, order], [int(group[name]) for name in order]
