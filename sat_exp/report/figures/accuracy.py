"""The figure of accuracy: clean, and under the model's own attack."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sat_exp.report import heatmap, theme
from sat_exp.report.heatmap import Styles
from sat_exp.report.origin import Origin, in_percent
from sat_exp.report.theme import Drawing

RATES = [f"{rate}{end}" for rate in ("clean_accuracy", "white_box_success") for end in ("", "_low", "_high")]


@theme.style()
def draw(models: pd.DataFrame, styles: Styles, origin: Origin) -> Drawing:
    """Clean accuracy, and accuracy under the model's own attack, with intervals where the table has them.

    The latter is clean accuracy × (1 − success). It is defined for untargeted attacks on correctly classified images;
    for others the share of images on which the attack fails takes its place.
    """
    table = models.sort_values(["clean_accuracy", "model"], ascending=[False, True], na_position="last")
    correct = origin.labels in (None, "truth") and not origin.attack.targeted
    factor = table["clean_accuracy"] if correct else 1
    clean = table["clean_accuracy"], table["clean_accuracy_low"], table["clean_accuracy_high"]
    attacked = tuple(factor * (1 - table[f"white_box_success{end}"]) for end in ("", "_high", "_low"))

    row = 0.27 if len(table) <= heatmap.ANNOTATED else 0.175
    height = max(row * len(table), 0.5)
    size = 8.5 if row > 0.2 else 6.5
    figure = Figure(figsize=(11, height + 1.5))
    left, right = heatmap.axes_at(figure, 2.6, 0.7, 3.4, height), heatmap.axes_at(figure, 6.25, 0.7, 2.6, height)
    _points(left, table["family"], clean, styles, 38 if row > 0.2 else 24)
    _points(right, table["family"], attacked, styles, 38 if row > 0.2 else 24)
    left.set_xlabel("clean accuracy (%)")
    left.set_yticklabels(table["model"], fontsize=size)
    right.set_xlabel(f"{'accuracy' if correct else origin.attack.withstood} under its own attack (%)")
    right.set_xlim(0, 1.06 * np.nanmax([100 * attacked[2].max(), 1.0]))
    _success(right, table, size)
    figure.legend(
        handles=[
            Line2D([], [], linestyle="", marker=style.marker, color=style.colour, markersize=6, label=family)
            for family, style in styles.items()
            if family in set(table["family"])
        ],
        loc="upper left",
        title="family",
        bbox_to_anchor=(9.85 / 11, (0.7 + height) / (height + 1.5)),
        alignment="left",
        borderaxespad=0,
    )
    data = table[["model", "family", *RATES, "weak_attack"]]
    return Drawing(figure, data, "Accuracy, clean and attacked", caption(table, correct, origin))


def caption(table: pd.DataFrame, correct: bool, origin: Origin) -> str:
    """The caption of the figure; correct: whether the right panel is an accuracy."""
    right = (
        "accuracy under the attack made on the model itself, which is clean accuracy × (1 − white-box success),"
        if correct
        else "share of the attacked images on which the attack made on the model itself fails "
        f"({origin.attack.withstood}), which is 1 − white-box success,"
    )
    targets = " A model without a mark at the right was not attacked." * bool(table["white_box_success"].isna().any())
    return (
        f"Left: accuracy on clean images with {origin.level} Wilson intervals. Right: {right} with the interval of "
        f"the white-box success.{targets} The two scales differ. Where the values on the right are high, the attack "
        "was too weak for the model's SAT to be trusted."
    )


def _points(axes: Axes, families: pd.Series, values: Sequence[pd.Series], styles: Styles, size: float) -> None:
    """One row per model: its rate in percent in the style of its family, with its interval (`values`)."""
    value, low, high = values
    rows = np.arange(len(value)) + 0.5
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.hlines(rows, 100 * low, 100 * high, color=theme.QUIET, linewidth=1.1)
    for family, style in styles.items():
        own = (families == family).to_numpy()
        axes.scatter(
            100 * value[own],
            rows[own],
            s=size,
            color=style.colour,
            marker=style.marker,
            edgecolor="white",
            linewidth=0.4,
            zorder=3,
            clip_on=False,
        )
    axes.set(ylim=(len(value), 0), yticks=rows, yticklabels=[])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _success(axes: Axes, table: pd.DataFrame, size: float) -> None:
    """The column of white-box success at the right, weak attacks in bold."""
    heading = "white-box\nsuccess (%)"
    axes.text(1.05, 1, heading, transform=axes.transAxes, fontsize=7.5, color=theme.QUIET, va="bottom")
    for row, (success, weak) in enumerate(zip(table["white_box_success"], table["weak_attack"], strict=True)):
        axes.text(
            1.05,
            row + 0.5,
            in_percent(success) + (" weak" if weak else ""),
            transform=axes.get_yaxis_transform(),
            fontsize=size,
            va="center",
            color=theme.BAD if weak else theme.INK,
            weight="bold" if weak else "normal",
        )
