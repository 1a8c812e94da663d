"""The answer of a task on the terminal: sentences, tables, cautions, and the path of the page."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp.similarity.scores import between_models, transfer_rates
from sat_exp.tasks import printing

MOST = 3  # sentences before the tables
ENDS = 5  # pairs printed from either end of a long list
MODELS = {"model": "", "clean_accuracy": ".1%", "white-box_success": ".1%", "mean_L2": "s", "images/s": ".1f"}


def show(summary: Mapping[str, Any], tables: Iterable[Table], page: Path | None = None) -> None:
    """Print the answer of a task: at most three findings, then the tables, the warnings and the path of the page."""
    console = printing.console()
    whole = not console.is_terminal  # a pipe gets a sentence as one line
    for finding in summary["findings"][:MOST]:
        console.print(finding, soft_wrap=whole)
    for table in tables:
        console.print(table)
    for warning in summary.get("warnings", []):
        console.print(printing.caution(warning), soft_wrap=whole)
    if page is not None:
        console.print(f"report: {page}", soft_wrap=True)


def printed(tables: dict[str, pd.DataFrame], summary: Mapping[str, Any], confidence: float) -> Iterator[Table]:
    """The tables of a measurement that are printed: models, pairs and failures."""
    from sat_exp.report.origin import Attack

    columns = ["model", "clean_accuracy", "white_box_success", "mean_l2", "attack_images_per_second"]
    norms = tables["models"]["mean_l2"].map("{:.0f}/255".format, na_action="ignore")
    models = tables["models"].assign(mean_l2=norms)[columns].set_axis(list(MODELS), axis=1)
    yield printing.table(f"{summary['title']}\n{Attack.of(summary).name}", models, MODELS)
    if "pairs" in tables:
        yield scores(tables["pairs"], confidence)
    if "failures" in tables:
        failures = tables["failures"].rename(columns={"reason": "why it failed"})
        yield printing.table("not measured", failures, {"model": "", "why it failed": ""})


def scores(pairs: pd.DataFrame, confidence: float) -> Table:
    """The pairs with the highest and lowest SAT; without SAT, the highest and lowest transfer rates."""
    between = between_models(pairs)
    if between["sat"].isna().all():
        ways = transfer_rates(pairs).sort_values("rate", ascending=False).rename(columns={"rate": "transfer rate"})
        title = "highest and lowest transfer rates" if len(ways) > 2 * ENDS else "transfer rates"
        return printing.table(title, ends(ways), {"source": "", "target": "", "transfer rate": ".1%"})
    between = between.dropna(subset=["sat"]).sort_values("sat", ascending=False)
    title = "most and least similar pairs" if len(between) > 2 * ENDS else "pairs"
    interval = between["sat_low"].map("{:.2f}–".format) + between["sat_high"].map("{:.2f}".format)
    columns = ["model_a", "model_b", "sat", "interval"]
    formats = {"model A": "", "model B": "", "SAT": ".2f", f"{100 * confidence:g}% interval": "s"}
    shown = ends(between.assign(interval=interval)[columns].set_axis(list(formats), axis=1))
    return printing.table(title, shown, formats)


def ends(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.head(ENDS), table.tail(ENDS)]) if len(table) > 2 * ENDS else table


def number(value: float, form: str) -> str:
    """A number, or – where it is missing."""
    return format(value, form) if np.isfinite(value) else "–"
