"""The results of a measurement on the terminal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp import report
from sat_exp.report.origin import Attack
from sat_exp.similarity.scores import transfer_rates
from sat_exp.tasks import printing

ENDS = 5  # pairs printed from either end of a long list
MODELS = {"model": "", "clean accuracy": ".1%", "white-box success": ".1%", "mean L2": "s", "images/s": ".1f"}


def show(tables: dict[str, pd.DataFrame], summary: Mapping[str, Any], drawn: report.Report, confidence: float) -> None:
    """Print the title, the attack, the models, the pairs, the failures, the warnings, and the path of the page."""
    console = printing.console()
    columns = ["model", "clean_accuracy", "white_box_success", "mean_l2", "attack_images_per_second"]
    norms = tables["models"]["mean_l2"].map("{:.0f}/255".format, na_action="ignore")
    models = tables["models"].assign(mean_l2=norms)[columns].set_axis(list(MODELS), axis=1)
    console.print(printing.table(f"{summary['title']}\n{Attack.of(summary).name}", models, MODELS))
    if "pairs" in tables:
        console.print(scores(tables["pairs"], confidence))
    if "failures" in tables:
        failures = tables["failures"].rename(columns={"reason": "why it failed"})
        console.print(printing.table("not measured", failures, {"model": "", "why it failed": ""}))
    for warning in drawn.warnings:
        console.print(printing.caution(warning))
    console.print(f"report: {drawn.page}", soft_wrap=True)


def scores(pairs: pd.DataFrame, confidence: float) -> Table:
    """The pairs with the highest and lowest SAT; without SAT, the highest and lowest transfer rates."""
    between = report.between_models(pairs)
    if between["sat"].isna().all():
        ways = transfer_rates(pairs).sort_values("rate", ascending=False).rename(columns={"rate": "transfer rate"})
        title = "highest and lowest transfer rates" if len(ways) > 2 * ENDS else "transfer rates"
        return printing.table(title, ends(ways), {"source": "", "target": "", "transfer rate": ".1%"})
    between = between.dropna(subset=["sat"]).sort_values("sat", ascending=False)
    title = "most and least similar pairs" if len(between) > 2 * ENDS else "pairs"
    interval = between["sat_low"].map("{:.2f}–".format) + between["sat_high"].map("{:.2f}".format)
    columns = ["model_a", "model_b", "sat", "interval", "transfer_rate_ab", "transfer_rate_ba", "images"]
    formats = {"model A": "", "model B": "", "SAT": ".2f", f"{100 * confidence:g} %": "s"}
    formats |= {"A → B": ".1%", "B → A": ".1%", "images": "d"}
    shown = ends(between.assign(interval=interval)[columns].set_axis(list(formats), axis=1))
    return printing.table(title, shown, formats)


def ends(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.head(ENDS), table.tail(ENDS)]) if len(table) > 2 * ENDS else table


def number(value: float, form: str) -> str:
    """A number, or – where it is missing."""
    return format(value, form) if np.isfinite(value) else "–"
