"""The figure of where the time went: seconds by model and activity."""

import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import heatmap, theme
from sat_exp.report.origin import duration
from sat_exp.report.theme import Drawing

COMPUTE = {"attack": "attack", "clean": "clean images", "transfer": "as a target"}
WAITING = {"load": "load", "gate": "gate", "check": "check", "other": "everything else"}
COLOURS = ("#0173b2", "#56b4e9", "#029e73", "#de8f05", "#cc78bc", "#ca9161", "#949494")
LEAST = 1.0  # seconds of computing of a run that is worth a figure
MOST_ROWS = 80


def efficiency(table: pd.DataFrame) -> float:
    """The share of the time in which the networks compute."""
    return float(table[[*COMPUTE]].to_numpy().sum() / table[[*COMPUTE, *WAITING]].to_numpy().sum())


@theme.style()
def draw(table: pd.DataFrame) -> Drawing:
    """A bar per model, the longest first. table: the table `time`."""
    activities = COMPUTE | WAITING
    whole = table[[*activities]].sum(axis=1)
    ordered = table.loc[whole.sort_values(ascending=False).index].head(MOST_ROWS)
    height = max(0.25 * len(ordered), 0.4)
    figure = Figure(figsize=(9.4, height + 1.4))
    axes = heatmap.axes_at(figure, 2.6, 0.7, 4.6, height)
    left = 0 * ordered[[*activities]].sum(axis=1)
    for (column, label), colour in zip(activities.items(), COLOURS, strict=True):
        if ordered[column].sum() > 0:
            axes.barh(ordered["model"], ordered[column], left=left, color=colour, label=label, height=0.72)
            left += ordered[column]
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.set_xlabel("seconds")
    figure.legend(loc="upper left", bbox_to_anchor=(7.4 / 9.4, (0.7 + height) / (height + 1.4)), borderaxespad=0)
    return Drawing(figure, ordered, "Where the time went", caption(table))


def caption(table: pd.DataFrame) -> str:
    aside = ", ".join(f"{duration(table[column].sum())} to {column}" for column in ("read", "copy", "write"))
    return (
        f"The seconds of this command, in all workers together. The networks computed in {efficiency(table):.0%} of "
        "them: attacks on the model, its clean images, and its predictions for the adversarial images of all models. "
        f"Threads took {aside} while the networks computed; this time is not in the bars. Results that were stored "
        "before took no time."
    )
