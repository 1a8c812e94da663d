"""The findings of a comparison in words, and on the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sat_exp.tasks import printing, results

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

FORMATS = {"measure": ""} | dict.fromkeys(["value", "low", "high", "expected", "p"], ".3f")

LARGEST = "largest disagreements (in standard errors of a difference)"
DIFFERENCES = {"model_a": "", "model_b": "", "measured": ".2f", "reference": ".2f"}
DIFFERENCES |= {"difference": "+.2f", "standard_errors": "+.1f"}


def sentences(agreement: pd.DataFrame, measured: str, reference: str) -> list[str]:
    """The agreement of each group of models in one sentence."""
    texts = []
    for group, measures in agreement.groupby("group", sort=False):
        row = measures.set_index("measure")
        rank, offset, apart = (row.loc[name] for name in ("spearman", "offset", "mean_absolute_difference"))
        value, low, high = (results.number(rank[name], ".3f") for name in ("value", "low", "high"))
        texts.append(
            f"Over {rank['pairs']:,} pairs of {rank['models']} models ({group}) SAT in {measured} and in {reference} "
            f"has a rank correlation of {value} ({low} to {high}); {measured} minus {reference} is "
            f"{offset['value']:+.3f} on average, their mean absolute difference {apart['value']:.3f}, where sampling "
            f"error alone would give {apart['expected']:.3f}."
        )
    return texts


def source_of_errors(measured: str, reference: str, of_file: bool, images: int) -> str:
    """A sentence on the source of the standard errors; of_file: whether `measured` is a file as well."""
    if of_file:
        return f"Standard errors are assumed, for {images:,} images per value in both files."
    return (
        f"The standard errors of {measured} are those of its intervals over images. Those of {reference} are assumed, "
        f"for {images:,} images per value."
    )


def show(tables: Mapping[str, pd.DataFrame], summary: dict[str, Any], page: Path) -> None:
    """Print the measures, one table per group, the pairs with the largest differences, and the cautions."""
    console = printing.console()
    for text in (summary["title"], summary["errors"]):
        console.print(text, soft_wrap=True)
    names = {role: summary[f"{role}_name"] for role in ("measured", "reference")}
    words = {measure: text.format(**names) for measure, text in MEASURES.items()}
    for group, table in tables["agreement"].groupby("group", sort=False):
        count, pairs = table[["models", "pairs"]].iloc[0]
        rows = table.assign(measure=table["measure"].map(words))
        console.print(printing.table(f"{group}: {count} models, {pairs} pairs", rows, FORMATS))
    console.print(printing.table(LARGEST, tables["disagreements"], DIFFERENCES))
    for side in ("measured", "reference"):
        if rest := summary[f"only_{side}"]:
            console.print(f"only in {summary[side]}: {len(rest)} models ({', '.join(rest[:3])}, …)", soft_wrap=True)
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)
