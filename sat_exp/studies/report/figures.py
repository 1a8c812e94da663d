"""The figures of runs side by side: SAT of every pair, and every model, in each run."""

import math

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.headline import value
from sat_exp.report.results import LOG_100, Results
from sat_exp.report.theme import Drawing

PANELS = {
    "clean_accuracy": "clean accuracy",
    "white_box_success": "white-box success",
    "transfer_as_source": "transfer rate as source",
    "transfer_as_target": "transfer rate as target",
}
MARKERS = "osD^vPX"


def drawings(results: Results) -> dict[str, Drawing]:
    """The figures of the study by name; empty for a run that sets no runs side by side."""
    if "run_models" not in results.own:
        return {}
    drawn = {"models_by_run": models(results.own["run_models"])}
    if "run_agreement" in results.own:
        drawn = {"sat_by_run": pairs(results.own["pair_differences"], results.own["run_agreement"])} | drawn
    return drawn


@theme.style()
def pairs(differences: pd.DataFrame, agreement: pd.DataFrame) -> Drawing:
    """SAT of every pair in each run against the first run; differences: the table `pair_differences`."""
    across = min(3, len(agreement))
    down = math.ceil(len(agreement) / across)
    figure = Figure(figsize=(4.3 * across, 4.2 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    low = differences[["measured", "reference"]].min(axis=None)
    for axes, (_, row) in zip(grid, agreement.iterrows(), strict=False):
        known = differences[differences["run"] == row["run"]]
        axes.axline((low, low), slope=1, color=theme.QUIET, linewidth=0.9, zorder=0)
        axes.scatter(known["reference"], known["measured"], s=18, color=theme.GOOD, alpha=0.55, linewidths=0)
        axes.set_title(f"rank correlation {value(row, 'spearman')}", loc="left", fontsize=9)
        axes.set(xlabel=f"SAT in {row['reference']}", ylabel=f"SAT in {row['run']}", xlim=(low - 0.1, LOG_100 + 0.1))
        axes.set(ylim=(low - 0.1, LOG_100 + 0.1), aspect="equal")
        for _, pair in known.head(1).iterrows():
            text = f"{pair['model_a']}\n{pair['model_b']}"
            place = {"xytext": (6, -2), "textcoords": "offset points", "fontsize": 7, "color": theme.INK}
            axes.annotate(text, (pair["reference"], pair["measured"]), va="top", **place)
    for axes in grid[len(agreement) :]:
        axes.remove()
    return Drawing(
        figure,
        differences,
        "SAT of every pair in each run",
        f"SAT of every pair in each run against SAT in {agreement['reference'].iloc[0]}. On the line both are equal. "
        "The pair that differs most is named. The interval of the rank correlation is over draws of models.",
    )


@theme.style()
def models(table: pd.DataFrame) -> Drawing:
    """The rates of every model in each run; table: the table `run_models`."""
    known = {column: title for column, title in PANELS.items() if table[column].notna().any()}
    runs, order = list(dict.fromkeys(table["run"])), list(dict.fromkeys(table["model"]))[::-1]
    height = max(2.4, 0.22 * len(order) + 1.2)
    figure = Figure(figsize=(1.8 + 2.7 * len(known), height), layout="constrained")
    grid = figure.subplots(1, len(known), sharey=True, squeeze=False).ravel()
    hues = sns.color_palette("colorblind", len(runs))
    places = {model: place for place, model in enumerate(order)}
    for axes, (column, title) in zip(grid, known.items(), strict=True):
        for index, run in enumerate(runs):
            rows = table[table["run"] == run]
            style = {"marker": MARKERS[index % len(MARKERS)], "color": hues[index], "label": run}
            axes.plot(rows[column], rows["model"].map(places), linestyle="", markersize=5, alpha=0.85, **style)
        axes.set_title(title, loc="left")
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.grid(axis="y", color=theme.MISSING, linewidth=0.7)
        axes.set_axisbelow(True)
    grid[0].set_yticks(range(len(order)), order)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=min(4, len(labels)))
    return Drawing(
        figure,
        table,
        "Every model in each run",
        "One row per model and one mark per run. White-box success is over the attacked images; the transfer rates are "
        "means over the other models of the run.",
    )
