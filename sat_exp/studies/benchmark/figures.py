"""The figures of the study: AUPRC of every measure in every test, and the relation of measures to outputs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.studies.benchmark.groups import ACCURACY, SAT

COLOURS = (theme.GOOD, theme.BAD, theme.QUIET)
REFERENCES = {ACCURACY: "equal accuracy", "agreement": "equal predictions", "jensen_shannon": "equal probabilities"}


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures by name; empty for a run that is no benchmark."""
    if "recognition" not in results.own:
        return {}
    found = {"recognition": recognition(results.own["recognition"], results.own["recognition_by_stratum"])}
    if len(results.own["output_relations"]):
        found["outputs"] = outputs(results.own["output_relations"])
    return found


@theme.style()
def recognition(means: pd.DataFrame, parts: pd.DataFrame) -> Drawing:
    """AUPRC, one panel per test, one row per measure: mean over strata with its interval, and every stratum."""
    order = means.groupby("measure")["auprc"].mean().sort_values(ascending=False).index
    places = {measure: place for place, measure in enumerate(order)}
    figure, grid = panels(means["test"].unique(), order)
    for (test, rows), axes in zip(means.groupby("test", sort=False), grid, strict=True):
        within = parts[parts["test"] == test]
        axes.plot(within["auprc"], within["measure"].map(places), "o", color=theme.QUIET, markersize=3.5, alpha=0.6)
        axes.axvline(rows.set_index("measure").loc[SAT, "chance"], color=theme.INK, linewidth=0.9, linestyle=":")
        at = rows["measure"].map(places)
        colours = np.where(rows["measure"] == SAT, theme.BAD, theme.GOOD)
        axes.hlines(at, rows["auprc_low"], rows["auprc_high"], color=colours, linewidth=2)
        axes.scatter(rows["auprc"], at, color=colours, marker="D", s=34, zorder=3)
        axes.set(xlim=(-0.02, 1.04), xlabel="AUPRC")
    return Drawing(
        figure,
        means,
        "Which measure recognises which groups",
        "Area under the precision-recall curve of finding the pairs of models of one group by the measure: 1 for a "
        "measure that puts all of them before all other pairs. Dotted: the mean of random orders. Diamonds: means "
        "over strata, with intervals from draws of models; points: strata. SAT is in another colour.",
    )


@theme.style()
def outputs(relations: pd.DataFrame) -> Drawing:
    """The rank correlation of every measure with every reference, one panel per test."""
    order = relations.groupby("measure")["spearman"].mean().sort_values(ascending=False).index
    places = {measure: place for place, measure in enumerate(order)}
    figure, grid = panels(relations["test"].unique(), order)
    shown = [name for name in REFERENCES if (relations["reference"] == name).any()]
    for (_, rows), axes in zip(relations.groupby("test", sort=False), grid, strict=True):
        axes.axvline(0, color=theme.INK, linewidth=0.9, linestyle=":")
        for number, reference in enumerate(shown):
            part = rows[rows["reference"] == reference]
            at = part["measure"].map(places) + 0.22 * (number - (len(shown) - 1) / 2)
            axes.hlines(at, part["low"], part["high"], color=COLOURS[number], linewidth=1.6)
            axes.scatter(
                part["spearman"], at, color=COLOURS[number], marker=theme.MARKERS[number], s=22, zorder=3,
                label=REFERENCES[reference],
            )  # fmt: skip
        axes.set(xlim=(-1.05, 1.05), xlabel="rank correlation")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(shown))
    return Drawing(
        figure,
        relations,
        "Measures and outputs",
        "Rank correlation, over pairs of models, of a measure with the likeness of their outputs: minus the difference "
        "of their clean accuracies, the share of equal predictions, 1 minus the Jensen-Shannon divergence. Means over "
        "strata, with intervals from draws of models.",
    )


def panels(tests: np.ndarray, measures: pd.Index) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per test and one row per measure, the first one on top."""
    figure = Figure(figsize=(2.2 + 2.6 * len(tests), 1.4 + 0.36 * len(measures)), layout="constrained")
    grid = list(figure.subplots(1, len(tests), sharey=True, squeeze=False)[0])
    for test, axes in zip(tests, grid, strict=True):
        axes.set_title(test, loc="left")
    grid[0].set(yticks=range(len(measures)), yticklabels=list(measures), ylim=(len(measures) - 0.5, -0.5))
    return figure, grid
