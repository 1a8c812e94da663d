"""The findings of a comparison in words, and on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp.report.headline import value, with_ends
from sat_exp.tasks import printing

SHOWN = 5
"""The most pairs that are printed."""

MEASURES = {
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "pearson_ceiling": "Pearson at most, by errors",
    "offset": "{measured} minus {reference}",
    "slope": "slope of {measured} on {reference}",
    "mean_absolute_difference": "mean absolute difference",
    "centred_absolute_difference": "the same, offset removed",
    "same_nearest": "models with the same nearest",
    "nearest_overlap": "overlap of the five nearest",
    "white_box_measured": "white-box success, {measured}",
    "white_box_reference": "white-box success, {reference}",
}

FORMATS = {"measure": ""} | dict.fromkeys(["value", "low", "high", "p"], ".3f")

DIFFERENCES = {"model_a": "", "model_b": "", "measured": ".2f", "reference": ".2f", "standard_errors": "+.1f"}


def sentences(tables: Mapping[str, pd.DataFrame], measured: str, reference: str) -> list[str]:
    """How far the two matrices order the pairs alike, how far their values differ, and the largest difference."""
    rows = tables["agreement"].query("group == 'all'").set_index("measure")
    rank, offset, apart = (rows.loc[name] for name in ("spearman", "offset", "mean_absolute_difference"))
    over = f"over {rank['pairs']:,} pairs of {rank['models']} models"
    numbers = value(with_ends(rank, "value"), "value", ".3f")
    if np.isnan(rank["value"]):
        order = f"Whether {measured} and {reference} order the pairs alike is unknown: SAT is constant {over}."
    elif not rank["low"] > 0:
        order = (
            f"It is uncertain that {measured} and {reference} order the pairs alike: the interval of the rank "
            f"correlation includes 0, {numbers} {over}."
        )
    else:
        order = f"SAT in {measured} and in {reference} has a rank correlation of {numbers} {over}."
    pair = tables["disagreements"].iloc[0]
    return [
        order,
        f"{measured} minus {reference} is {offset['value']:+.2f} on average; the mean difference of a pair is "
        f"{apart['value']:.2f}, where sampling error alone would give {apart['expected']:.2f}.",
        f"They differ most for {pair['model_a']} and {pair['model_b']}: {pair['measured']:.2f} against "
        f"{pair['reference']:.2f}, {abs(pair['standard_errors']):.1f} standard errors.",
    ]


def source_of_errors(measured: str, reference: str, of_file: bool, images: int) -> str:
    """A sentence on the source of the standard errors; of_file: whether `measured` is a file as well."""
    if of_file:
        return f"Standard errors are assumed, for {images:,} images per value in both files."
    return (
        f"The standard errors of {measured} are those of its intervals over images. Those of {reference} are assumed, "
        f"for {images:,} images per value."
    )


def printed(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> Iterator[Table]:
    """The measures of agreement, one table per group of models, and the pairs with the largest differences."""
    names = {role: summary[f"{role}_name"] for role in ("measured", "reference")}
    words = {measure: text.format(**names) for measure, text in MEASURES.items()}
    for group, table in tables["agreement"].groupby("group", sort=False):
        count, pairs = table[["models", "pairs"]].iloc[0]
        rows = table.assign(measure=table["measure"].map(words))
        yield printing.table(f"{group}: {count} models, {pairs} pairs", rows, FORMATS)
    yield printing.table("largest differences", tables["disagreements"].head(SHOWN), DIFFERENCES)
