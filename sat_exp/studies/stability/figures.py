"""The figures of the study: agreement and contrast of each variant, and the correlations among all."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat_exp.report import heatmap, theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures by name; empty for a run that is no such study."""
    tables = results.own
    if "variant_agreement" not in tables:
        return {}
    images = tables["variant_images"]
    return {
        "stability": agreement(tables["variant_agreement"], tables.get("variant_contrast"), images),
        "variants": correlations(tables["variants"], tables["variant_correlations"]),
    }


@theme.style()
def agreement(table: pd.DataFrame, contrast: pd.DataFrame | None, images: pd.DataFrame) -> Drawing:
    """Dots with intervals: at the left the agreement with the reference, at the right what tells relatives apart."""
    columns = 2 if contrast is not None else 1
    figure = Figure(figsize=(4.2 + 3.3 * columns, 0.28 * len(table) + 1.3), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, columns, sharey=True))
    data = table if contrast is None else table.merge(contrast.drop(columns="factor"), on="variant", how="left")
    dots(axes[0], data, "spearman")
    if len(images):
        axes[0].axvline(images["spearman"].iloc[0], color=theme.BAD, linewidth=1, linestyle="--")
    axes[0].set(yticks=np.arange(len(data)), yticklabels=data["variant"], ylim=(len(data) - 0.5, -0.5))
    axes[0].set(xlabel="rank correlation with the reference")
    words = ""
    if contrast is not None:
        dots(axes[1], data, "auc")
        axes[1].axvline(0.5, color=theme.QUIET, linewidth=0.8)
        axes[1].set(xlabel="relatives more similar than strangers (AUC)")
        words = (
            " Right: the probability that a pair of one family has a higher SAT than a pair of two families; the grey "
            "line, 0.5, is chance."
        )
    for each in axes:
        changes = np.flatnonzero(data["factor"].to_numpy()[1:] != data["factor"].to_numpy()[:-1]) + 0.5
        each.hlines(changes, *each.get_xlim(), color=theme.MISSING, linewidth=0.8, zorder=0)
    return Drawing(
        figure,
        data,
        "SAT measured in other ways",
        "Left: Spearman's correlation over pairs of SAT under each variant with SAT under the settings of the run, the "
        "reference. The dashed line is that of SAT of half of the images with SAT of the other half." + words + " Bars "
        "are intervals over images.",
    )


def dots(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """A dot with its interval per row."""
    place = np.arange(len(table))
    axes.hlines(place, table[f"{column}_low"], table[f"{column}_high"], color="#a9b4bd", linewidth=2)
    axes.plot(table[column], place, "o", color=theme.GOOD, markersize=5)


@theme.style()
def correlations(variants: pd.DataFrame, table: pd.DataFrame) -> Drawing:
    """A heat map of the correlations among variants."""
    names = list(variants["variant"])
    square = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for a, b, found in table.itertuples(index=False):
        square.loc[a, b] = square.loc[b, a] = found
    side, cell = heatmap.side_of(len(names))
    figure = Figure(figsize=(side + 3, side + 2.2), layout="constrained")
    axes = figure.subplots()
    heatmap.cells(axes, square, cell, cmap="viridis", vmin=min(0, square.min(axis=None)), vmax=1, fmt=".2f")
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names, rotation=0)
    axes.set_aspect("equal")
    return Drawing(
        figure,
        square.rename_axis("variant"),
        "Rank correlations among the variants",
        "Spearman's correlation over pairs of SAT for every two variants.",
    )
