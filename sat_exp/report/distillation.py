"""The figures of a study of distillation: gain and similarity, similarity before and after, how rankings held."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.theme import Drawing


def draw(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Writes figures/*.png, .svg and .csv where there are gains; the paths of the PNG files."""
    if "gains" not in tables:
        return []
    drawn = {
        "gain": gain(tables["by_pair"]),
        "similarity": similarity(tables["by_pair"]),
        "pickers": pickers(tables["pickers"]),
    }
    return [theme.save(drawing, folder / "figures" / name) for name, drawing in drawn.items()]


@theme.style()
def gain(pairs: pd.DataFrame) -> Drawing:
    """The gain of every student and teacher against their SAT before training and against the teacher's accuracy."""
    styles = theme.family_styles(pairs["student"])
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    measures = {"sat_before": "SAT of the student alone with the teacher", "teacher_accuracy": "teacher's accuracy"}
    for axes, (measure, label) in zip(figure.subplots(1, 2, sharey=True), measures.items(), strict=True):
        for student, rows in pairs.groupby("student"):
            style = styles[str(student)]
            faces = np.where(rows["same_base"], style.colour, "none")
            axes.vlines(
                rows[measure], 100 * rows["gain_least"], 100 * rows["gain_most"], color=style.colour, alpha=0.35
            )
            axes.scatter(
                rows[measure], 100 * rows["gain"], s=40, c=faces, edgecolors=style.colour, marker=style.marker, zorder=2
            )
            axes.scatter([], [], s=40, color=style.colour, marker=style.marker, label=str(student))
            for row in rows.itertuples():
                at = (getattr(row, measure), 100 * row.gain)
                axes.annotate(str(row.teacher), at, (5, 3), textcoords="offset points", fontsize=7)
        axes.axhline(0, color=theme.QUIET, linewidth=0.8)
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel("gain over the student alone (percentage points)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    columns = ["student", "teacher", *measures, "gain", "gain_least", "gain_most", "same_base"]
    return Drawing(
        figure,
        pairs[columns],
        "Gain",
        "What a student gains by a teacher, mean over seeds with the range of seeds, against what is known before. "
        "Filled: student and teacher share their base architecture.",
    )


@theme.style()
def similarity(pairs: pd.DataFrame) -> Drawing:
    """SAT with the teacher after distillation against before."""
    styles = theme.family_styles(pairs["student"])
    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.subplots()
    for student, rows in pairs.groupby("student"):
        style = styles[str(student)]
        axes.scatter(
            rows["sat_before"], rows["sat_after"], s=40, color=style.colour, marker=style.marker, label=str(student)
        )
        for row in rows.itertuples():
            at = (row.sat_before, row.sat_after)
            axes.annotate(str(row.teacher), at, (5, 3), textcoords="offset points", fontsize=7)
    limits = np.nanmin(pairs[["sat_before", "sat_after"]]) - 0.1, np.nanmax(pairs[["sat_before", "sat_after"]]) + 0.1
    axes.plot(limits, limits, color=theme.QUIET, linewidth=0.8)
    axes.set(xlim=limits, ylim=limits, xlabel="SAT with the teacher, student alone", ylabel="after distillation")
    axes.legend(loc="lower right")
    return Drawing(
        figure,
        pairs[["student", "teacher", "sat_before", "sat_after"]],
        "Similarity to the teacher",
        "SAT of student and teacher before and after distillation, means over seeds. Above the line the student has "
        "come closer to its teacher.",
    )


@theme.style()
def pickers(table: pd.DataFrame) -> Drawing:
    """The rank correlation of each ranking with the gain, with its interval."""
    labels = [f"{row.ranker}" + (f", {row.left_out} not seen" if row.left_out else "") for row in table.itertuples()]
    rows = np.arange(len(table))
    figure = Figure(figsize=(7.5, 0.36 * len(table) + 1), layout="constrained")
    axes = figure.subplots()
    axes.hlines(rows, table["low"], table["high"], color=theme.QUIET, linewidth=2)
    axes.plot(table["spearman"], rows, "D", color=theme.GOOD, markersize=6)
    axes.axvline(0, color=theme.QUIET, linewidth=0.8)
    axes.set(yticks=rows, yticklabels=labels, xlim=(-1.02, 1.02), xlabel="rank correlation with the gain")
    axes.invert_yaxis()
    return Drawing(
        figure,
        table,
        "Rankings of teachers",
        "How well rankings of a student's teachers, made before training, agreed with what the student gained; lines "
        "are 95 % intervals from drawing students and teachers, of random orders their own quantiles.",
    )
