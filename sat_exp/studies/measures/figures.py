"""The figure of the study: a heat map of the rank correlations among measures."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import heatmap, theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.statistics import clustering

CELL = 0.5  # inches


def drawings(results: Results) -> dict[str, Drawing]:
    """The figure of the study by name; empty for another run."""
    if "measure_relations" not in results.own or results.own["measure_relations"].empty:
        return {}
    return {"measures": correlations(results.own["measure_relations"])}


@theme.style()
def correlations(relations: pd.DataFrame) -> Drawing:
    """The rank correlation of any two measures, alike ones next to each other. relations: `measure_relations`."""
    values = ordered(square(relations))
    side = CELL * len(values)
    figure = Figure(figsize=(side + 3.4, side + 3))
    heat = heatmap.axes_at(figure, 2.2, 2, side, side)
    scale = {"low": -1.0, "high": 1.0}
    heatmap.cells(heat, values, CELL, cmap="vlag", vmin=scale["low"], vmax=scale["high"], fmt=".2f")
    middle = np.arange(len(values)) + 0.5
    heat.set_xticks(middle, list(values.columns), rotation=90)
    heat.set_yticks(middle, list(values.index), rotation=0)
    heat.tick_params(length=0)
    heatmap.colour_bar(figure, heat, 2 + side + 0.25, "vlag", **scale, label="rank correlation over pairs of models")
    return Drawing(
        figure,
        values.rename_axis("measure"),
        "How alike the measures order the pairs",
        "Rank correlation of two measures over the pairs of different models; the order of the measures is that of an "
        "average-linkage tree. The table `measure_relations` has intervals from draws of models.",
    )


def square(relations: pd.DataFrame) -> pd.DataFrame:
    """The symmetric matrix of rank correlations, 1 on the diagonal; measures in the order of the table."""
    names = list(dict.fromkeys([*relations["measure_a"], *relations["measure_b"]]))
    values = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for row in relations.itertuples():
        values.loc[row.measure_a, row.measure_b] = values.loc[row.measure_b, row.measure_a] = row.spearman
    return values


def ordered(values: pd.DataFrame) -> pd.DataFrame:
    """The matrix with similar measures next to each other; a missing correlation counts as 0."""
    leaves = clustering.hierarchy(values.fillna(0)).leaves
    return values.loc[leaves, leaves]
