"""The results of a measurement on the terminal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Column, Table

from sat_exp import report
from sat_exp.report.attack import Attack
from sat_exp.tasks import printing

ENDS = 5
"""Pairs printed from either end of a long list."""


def show(tables: dict[str, pd.DataFrame], summary: Mapping[str, Any], drawn: report.Report, confidence: float) -> None:
    """Print the title, the attack, the models, the pairs, the failures, the warnings, and the path of the page."""
    console = printing.console()
    title = f"{summary['title']}\n{Attack.of(summary).name}"
    table = Table(Column("model", overflow="fold"), title=title, title_justify="left")
    for heading in ("clean accuracy", "white-box success", "mean L2", "images/s"):
        table.add_column(heading, justify="right")
    for row in tables["models"].itertuples():
        table.add_row(
            str(row.model),
            number(row.clean_accuracy, ".1%"),
            number(row.white_box_success, ".1%"),
            number(row.mean_l2, ".0f", "/255"),
            number(row.attack_images_per_second, ".1f"),
        )
    console.print(table)
    if "pairs" in tables:
        console.print(scores(tables["pairs"], confidence))
    if "failures" in tables:
        table = Table("model", Column("why it failed", overflow="fold"), title="not measured", title_justify="left")
        for failure in tables["failures"].itertuples():
            table.add_row(str(failure.model), str(failure.reason))
        console.print(table)
    for warning in drawn.warnings:
        console.print(printing.caution(warning))
    console.print(f"report: {drawn.page}", soft_wrap=True)


def scores(pairs: pd.DataFrame, confidence: float) -> Table:
    """The pairs with the highest and lowest SAT; without SAT, the highest and lowest transfer rates."""
    between = report.between_models(pairs)
    if between["sat"].isna().all():
        ways = report.one_way(pairs).sort_values("rate", ascending=False)
        heading = "highest and lowest transfer rates" if len(ways) > 2 * ENDS else "transfer rates"
        table = Table("source", "target", Column("transfer rate", justify="right"), title=heading, title_justify="left")
        for row in ends(ways).itertuples():
            table.add_row(str(row.source), str(row.target), f"{row.rate:.1%}")
        return table
    between = between.dropna(subset=["sat"]).sort_values("sat", ascending=False)
    table = Table(
        Column("model A", overflow="fold"),
        Column("model B", overflow="fold"),
        title="most and least similar pairs" if len(between) > 2 * ENDS else "pairs",
        title_justify="left",
    )
    for heading in ("SAT", percent(confidence), "A → B", "B → A", "images"):
        table.add_column(heading, justify="right")
    for row in ends(between).itertuples():
        table.add_row(
            str(row.model_a),
            str(row.model_b),
            number(row.sat, ".2f"),
            f"{number(row.sat_low, '.2f')}–{number(row.sat_high, '.2f')}",
            number(row.transfer_rate_ab, ".1%"),
            number(row.transfer_rate_ba, ".1%"),
            str(row.images),
        )
    return table


def ends(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.head(ENDS), table.tail(ENDS)]) if len(table) > 2 * ENDS else table


def percent(confidence: float) -> str:
    """For instance '95 %'."""
    return f"{100 * confidence:g} %"


def number(value: float, form: str, unit: str = "") -> str:
    """A number, or – where it is missing."""
    return format(value, form) + unit if np.isfinite(value) else "–"
