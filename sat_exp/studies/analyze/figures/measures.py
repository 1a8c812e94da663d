"""Models in a plane, as sources and targets, by training and by components; controls; the number of images."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing

AXES = {
    "noise_sat": "log of the mean rate fooled by noise (%)",
    "agreement": "same prediction, share of images",
    "error_consistency": "error consistency κ",
}

DESCRIPTIONS = {
    "noise_sat": "how often random noise of the attack's size changes the two models' predictions",
    "agreement": "how often their clean predictions are the same",
    "error_consistency": "how far they err on the same images beyond chance (Geirhos et al. 2020)",
}

RANKINGS = {
    "spearman": "rank correlation with all images",
    "spearman_disjoint": "rank correlation with as many others",
    "same_nearest": "models with the same nearest neighbour",
}


def embedding(points: pd.DataFrame, clusters: pd.DataFrame) -> Drawing:
    """The models in a plane, one panel per method, coloured by cluster."""
    methods = list(dict.fromkeys(points["method"]))
    styles = theme.family_styles(f"{number:03d}" for number in clusters["cluster"])
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
        "Similar models are close: the distance of two is log 100 − SAT. Colours are clusters of SAT. Classical "
        "scaling keeps distances as well as two axes can, and is the same every time. t-SNE keeps neighbours; its "
        "distances between groups mean nothing.",
    )


def directed(results: Results) -> Drawing:
    """Every model by its effects as a source and as a target."""
    figure = Figure(figsize=(9.5, 7.5), layout="constrained")
    axes = figure.subplots()
    table = results.own["directed"]
    coloured = table.assign(family=table["model"].map(results.families))
    for family, members in coloured.groupby("family"):
        style = results.styles[str(family)]
        x, y = 100 * members["source"], 100 * members["target"]
        axes.scatter(x, y, s=38, color=style.colour, marker=style.marker, label=family)
    for line in (axes.axhline, axes.axvline):
        line(0, color=theme.QUIET, linewidth=0.8)
    axes.set(
        xlabel="as a source: fools others more than the average model does (percentage points)",
        ylabel="as a target: is fooled more (percentage points)",
    )
    theme.label(axes, 100 * coloured["source"], 100 * coloured["target"], coloured["model"])
    figure.legend(loc="outside right upper", title="family", ncols=1 + (coloured["family"].nunique() > 25))
    return Drawing(
        figure,
        coloured,
        "Good sources and easy targets",
        "Each model's effect on transfer rates as a source and as a target, by least squares, relative to the average "
        "model. The images of models at the right fool others. Models at the top are fooled by others.",
    )


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
        "Each dot is a pair of models, grouped by what the two share. Diamonds are means with 95% intervals from "
        "draws of architectures and of their models.",
    )


def importance(table: pd.DataFrame) -> Drawing:
    """The importance of each component: the paper's, and on pairs with a model left out."""
    rows = np.arange(len(table))
    figure = Figure(figsize=(10, 0.32 * len(table) + 1.2), layout="constrained")
    panels = {"importance": "on the pairs of the fit (the paper's)", "shuffled": "on pairs with a model left out"}
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
        "The loss of R² of gradient boosting for SAT when a component is shuffled. Left, as in the paper: the input is "
        "in which components two models differ, and the loss is on the pairs of the fit. Right: the input is both "
        "models' values, and the loss is on pairs with one unseen model. A component whose line reaches 0 there may "
        "predict nothing for new models. Lines are 95% intervals from draws of models; only the left ones repeat the "
        "fit for each draw.",
    )


def controls(pairs: pd.DataFrame, relations: pd.DataFrame) -> Drawing:
    """SAT against measures of the same pairs that need no gradient."""
    measures = [measure for measure in AXES if measure in pairs and pairs[measure].notna().any()]
    figure = Figure(figsize=(4.2 * len(measures) + 0.6, 4.2), layout="constrained")
    size = float(np.clip(6000 / len(pairs), 6, 30))
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        axes.scatter(pairs[measure], pairs["sat"], s=size, color=theme.GOOD, alpha=0.5)
        axes.set(xlabel=AXES[measure], ylabel="SAT")
        for row in relations[(relations["measure"] == measure) & (relations["given"] == "")].to_dict("records"):
            title = f"rank correlation {row['spearman']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
            axes.set_title(title, loc="left", fontsize=9)
    return Drawing(
        figure,
        pairs,
        "What the attack adds",
        "Each dot is a pair: its SAT against a measure that needs no gradient: "
        f"{'; '.join(DESCRIPTIONS[measure] for measure in measures)}. Where such a measure orders the pairs as SAT "
        "does, the attack adds nothing. Intervals of correlations, 95%, come from draws of models.",
    )


def sample_size(table: pd.DataFrame) -> Drawing:
    """Agreement of SAT from fewer images with SAT from all, by the number of images."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = theme.GOOD, theme.BAD, theme.QUIET
    curves = [(left, *line, colour) for line, colour in zip(RANKINGS.items(), colours, strict=True)]
    for axes, measure, label, colour in [*curves, (right, "mean_absolute_error", "", theme.INK)]:
        rows = table[table["measure"] == measure].dropna(subset="value")
        axes.plot(rows["images"], rows["value"], "o-", color=colour, markersize=4, label=label)
        axes.fill_between(rows["images"], rows["low"], rows["high"], color=colour, alpha=0.12, linewidth=0)
    left.set(xscale="log", ylim=(0, 1.02), xlabel="images")
    right.set(xscale="log", xlabel="images", ylabel="mean absolute error of SAT")
    for axes in (left, right):
        axes.xaxis.set_major_formatter("{x:g}")
    right.set_ylim(bottom=0)
    left.legend(loc="lower right")
    return Drawing(
        figure,
        table,
        "Number of images",
        "SAT from some of the images, drawn without replacement, against SAT from all images and from as many other "
        "images. Lines are means over draws; bands hold 95% of the draws.",
    )
