"""The figures of the study: gain and similarity, similarity before and after, the agreement of rankings."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing

MEASURES = {"sat_before": "SAT with the teacher, student alone", "teacher_accuracy": "teacher's accuracy"}


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures in the order of the page, by name; empty for a run that is no study of distillation."""
    tables = results.own
    if "pickers" not in tables:
        return {}
    pairs = tables["by_pair"]
    return {"gain": gain(pairs), "similarity": similarity(pairs), "pickers": pickers(tables["pickers"])}


@theme.style()
def gain(pairs: pd.DataFrame) -> Drawing:
    """The gain from every teacher against the MEASURES, one row of panels per student."""
    students = list(pairs["student"].unique())
    figure = Figure(figsize=(11, 3.7 * len(students) + 0.3), layout="constrained")
    grid = figure.subplots(len(students), len(MEASURES), sharey="row", sharex="col", squeeze=False)
    for student, row in zip(students, grid, strict=True):
        part = pairs[pairs["student"] == student]
        faces = np.where(part["same_base"], theme.GOOD, "white")
        for axes, measure in zip(row, MEASURES, strict=True):
            axes.axhline(0, color=theme.QUIET, linewidth=0.8, zorder=0)
            axes.vlines(part[measure], 100 * part["gain_least"], 100 * part["gain_most"], color=theme.MISSING, lw=3)
            axes.scatter(part[measure], 100 * part["gain"], s=40, c=faces, edgecolors=theme.GOOD, zorder=2)
            axes.margins(0.12, 0.08)
            theme.label(axes, part[measure], 100 * part["gain"], part["teacher"])
        row[0].set_ylabel("gain (percentage points)")
        row[0].set_title(f"{student}, {part['baseline'].mean():.1%} alone", loc="left")
    for axes, label in zip(grid[-1], MEASURES.values(), strict=True):
        axes.set_xlabel(label)
    return Drawing(
        figure,
        pairs[["student", "teacher", *MEASURES, "gain", "gain_least", "gain_most", "same_base"]],
        "The gain of students",
        "The accuracy of a student with a teacher minus that of the same student alone: mean and range over seeds, "
        "against two facts known before training. Filled: student and teacher have the same base architecture.",
    )


@theme.style()
def similarity(pairs: pd.DataFrame) -> Drawing:
    """SAT with the teacher after distillation against before, one panel per student."""
    students = list(pairs["student"].unique())
    figure = Figure(figsize=(4.8 * len(students), 4.8), layout="constrained")
    both = pairs[["sat_before", "sat_after"]]
    limits = np.nanmin(both) - 0.15, np.nanmax(both) + 0.15
    for student, axes in zip(students, figure.subplots(1, len(students), sharey=True, squeeze=False)[0], strict=True):
        part = pairs[pairs["student"] == student].dropna(subset=both.columns)
        axes.plot(limits, limits, color=theme.QUIET, linewidth=0.8, zorder=0)
        axes.scatter(part["sat_before"], part["sat_after"], s=36, color=theme.GOOD)
        axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel=MEASURES["sat_before"])
        axes.set_title(student, loc="left")
        theme.label(axes, part["sat_before"], part["sat_after"], part["teacher"])
    figure.axes[0].set_ylabel("after distillation")
    return Drawing(
        figure,
        pairs[["student", "teacher", "sat_before", "sat_after"]],
        "Similarity to the teacher",
        "SAT of student and teacher before and after distillation, means over seeds. Above the line, the student has "
        "become more similar to its teacher.",
    )


@theme.style()
def pickers(table: pd.DataFrame) -> Drawing:
    """The rank correlation of each ranking with the gain, with its interval."""
    labels = [f"{row.ranker}" + (f", without the {row.left_out}" if row.left_out else "") for row in table.itertuples()]
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
        "Rankings of teachers before training",
        "The agreement of rankings of a student's teachers with the student's gain: the mean over students of the rank "
        "correlation. Rankings by SAT, by accuracy and by both are fitted without the student, or without the teacher, "
        "that they rank. Lines are 95% intervals from drawing students and teachers; for random orders, quantiles "
        "over orders.",
    )
