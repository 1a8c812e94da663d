"""Figures that need the prediction for every image: controls, and the number of images."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme
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
        "does, the attack adds nothing. Intervals of correlations, 95 %, come from draws of models.",
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
        "images. Lines are means over draws; bands hold 95 % of the draws.",
    )
