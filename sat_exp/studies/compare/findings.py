"""The findings of a comparison in words, and on the terminal."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from sat_exp.studies.compare.comparison import Comparison
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


def sentences(found: Comparison, measured: str, reference: str) -> list[str]:
    """The agreement of each group of models in one sentence."""
    texts = []
    for group, measures in found.agreement.groupby("group", sort=False):
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


def show(found: Comparison, summary: dict[str, Any], page: Path) -> None:
    """Print the measures, one table per group, and the pairs with the largest differences."""
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    console.print(summary["errors"], soft_wrap=True)
    names = {role: summary[f"{role}_name"] for role in ("measured", "reference")}
    for group, measures in found.agreement.groupby("group", sort=False):
        console.print(_measures(str(group), measures, names))
    console.print(_disagreements(found.disagreements, names))
    _show_rest(console, summary)
    console.print(f"report: {page}", soft_wrap=True)


def _measures(group: str, measures: pd.DataFrame, names: dict[str, str]) -> Table:
    count, pairs = measures[["models", "pairs"]].iloc[0]
    output = Table(title=f"{group}: {count} models, {pairs} pairs", title_justify="left")
    output.add_column()
    for heading in ("value", "interval", "expected", "p"):
        output.add_column(heading, justify="right", no_wrap=True)
    for row in measures.itertuples():
        value = results.number(row.value, ".0f" if row.measure == "same_nearest" else ".3f")
        interval = f"{row.low:.3f} to {row.high:.3f}" if pd.notna(row.low) else ""
        expected, p = (format(number, ".3g") if pd.notna(number) else "" for number in (row.expected, row.p))
        output.add_row(MEASURES[str(row.measure)].format(**names), value, interval, expected, p)
    return output


def _disagreements(pairs: pd.DataFrame, names: dict[str, str]) -> Table:
    models = (Column(f"model {side}", overflow="fold") for side in "AB")
    title = "largest disagreements (s.e.: standard errors of a difference)"
    output = Table(*models, title=title, title_justify="left")
    for heading in (*names.values(), "difference", "in s.e."):
        output.add_column(heading, justify="right")
    for row in pairs.itertuples():
        numbers = f"{row.measured:.2f}", f"{row.reference:.2f}", f"{row.difference:+.2f}", f"{row.standard_errors:+.1f}"
        output.add_row(str(row.model_a), str(row.model_b), *numbers)
    return output


def _show_rest(console: Console, summary: dict[str, Any]) -> None:
    """Print the models of one matrix only, and the cautions."""
    for side in ("measured", "reference"):
        if rest := summary[f"only_{side}"]:
            console.print(f"only in {summary[side]}: {len(rest)} models ({', '.join(rest[:3])}, …)", soft_wrap=True)
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
