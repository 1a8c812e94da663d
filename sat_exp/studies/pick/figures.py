"""The figure of the study: what each choice gives, with its interval."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing

SHOWN = 30


def drawings(results: Results) -> dict[str, Drawing]:
    tables = results.own
    if "ensemble_choices" in tables:
        table, label = tables["ensemble_choices"], "points of error less than the most accurate models"
        caption = (
            "How much lower the error of each choice is than that of the most accurate models, on images that neither "
            "was chosen on: choices are made on random halves of the images and evaluated on the other halves. Bars "
            "are intervals over images, with Bonferroni's correction for the number of strategies. A bar to the right "
            "of 0 is a better choice."
        )
        return {
            "choice": dots(table, table["strategy"], "fewer_errors", 100, label, "Which ensemble to build", caption)
        }
    if "least_similar" in tables:
        table, heading = tables["least_similar"], "Which models are least similar"
        caption = "The ensembles with the least mean SAT of their members. Bars are intervals over images."
        return {"choice": dots(table, table["models"], "mean_sat", 1, "mean SAT of the members", heading, caption)}
    if "surrogates" in tables:
        table, heading = tables["surrogates"].head(SHOWN), "Which model to attack"
        caption = (
            f"The rate at which the adversarial images of a source fool other models, the mean over "
            f"{table['targets'].max()}. Bars are intervals over images. The share of draws of the images in which a "
            "source is the best is the column first of the table."
        )
        return {
            "choice": dots(table, table["source"], "mean_transfer_rate", 100, "transfer rate (%)", heading, caption)
        }
    return {}


@theme.style()
def dots(
    table: pd.DataFrame, names: pd.Series, column: str, scale: float, label: str, heading: str, caption: str
) -> Drawing:
    """A dot with its interval per row, the first row on top."""
    figure = Figure(figsize=(7, 0.3 * len(table) + 1), layout="constrained")
    axes, place = figure.subplots(), np.arange(len(table))
    low, value, high = (scale * table[column + end] for end in ("_low", "", "_high"))
    if (low < 0).any():
        axes.axvline(0, color=theme.QUIET, linewidth=0.8)
    axes.hlines(place, low, high, color="#a9b4bd", linewidth=2)
    axes.plot(value, place, "o", color=theme.GOOD, markersize=5)
    axes.set(yticks=place, yticklabels=names, ylim=(len(table) - 0.5, -0.5), xlabel=label)
    return Drawing(figure, table, heading, caption)
