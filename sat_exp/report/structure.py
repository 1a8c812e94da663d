"""The figures of an analysis: how stable clusters are, the models in a plane, and the weight of components."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme


def draw(folder: Path, tables: dict[str, pd.DataFrame]) -> list[Path]:
    """Writes figures/*.png and .svg for those of `tables` that there are; the paths of the PNG files."""
    drawn = {
        "cluster_stability": stability(tables["cluster_stability"]),
        "embedding": embedding(tables["embedding"], tables["clusters"]),
    }
    if "sample_size" in tables:
        drawn["sample_size"] = sample_size(tables["sample_size"])
    if "regimes" in tables:
        drawn["regimes"] = regimes(tables["regime_pairs"], tables["regimes"])
    if "importance" in tables:
        drawn["importance"] = importance(tables["importance"])
    return [theme.save(figure, folder / "figures" / name) for name, figure in drawn.items()]


@theme.style()
def stability(table: pd.DataFrame) -> Figure:
    """Agreement of clusterings between perturbed matrices, and the eigengap, against the number of clusters."""
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
    return figure


@theme.style()
def embedding(points: pd.DataFrame, clusters: pd.DataFrame) -> Figure:
    """The models in a plane, a panel a method, coloured and marked by cluster."""
    styles = theme.family_styles(f"{number:03d}" for number in clusters["cluster"])
    methods = list(points["method"].unique())
    figure = Figure(figsize=(7.5 * len(methods), 7), layout="constrained")
    size = float(np.interp(len(clusters), (15, 70), (8.5, 5.5)))
    for axes, method in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        placed = points[points["method"] == method].merge(clusters, on="model")
        for number, members in placed.groupby("cluster"):
            style = styles[f"{number:03d}"]
            axes.scatter(members["x"], members["y"], s=34, color=style.colour, marker=style.marker, label=f"{number}")
        for row in placed.itertuples():
            axes.annotate(str(row.model), (row.x, row.y), (3, 2), textcoords="offset points", fontsize=size)
        axes.set(xticks=[], yticks=[], aspect="equal" if method == "classical" else "auto")
        axes.set_title(method, loc="left")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title="cluster")
    return figure


@theme.style()
def sample_size(table: pd.DataFrame) -> Figure:
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
    return figure


@theme.style()
def regimes(pairs: pd.DataFrame, averages: pd.DataFrame) -> Figure:
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
    return figure


@theme.style()
def importance(table: pd.DataFrame) -> Figure:
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
    return figure
