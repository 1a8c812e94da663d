"""The findings of the study in words: sentences for the page, warnings, and the tables that the console shows."""

from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Column
from rich.text import Text

from sat_exp.studies.ensemble.held_out import SINGLE
from sat_exp.studies.ensemble.members import Ensembles
from sat_exp.tasks import printing
from sat_exp.tasks.results import number

FEW_ERRORS = 100
"""Errors of the best model below which differences between ensembles are mostly chance."""

ERRORS = "ensembles", "members' error", "error", "reduction", "all wrong"
CALIBRATION = "NLL", "members' NLL", "ECE", "members' ECE", "confidence", "accuracy"
WORDS = {"sat": "SAT", "sat_without_hubs": "SAT without hubs", "error_consistency": "error consistency"}


def cautions(
    sizes: Sequence[int], ensembles: Sequence[Ensembles], allowed: Sequence[int], right: np.ndarray
) -> list[str]:
    """Warnings about what limits the results. allowed: the sizes of which some ensemble is within the limits; right:
    bool [M, N]."""
    warnings, (models, images) = [], right.shape
    counted = {same_size.size for same_size in ensembles}
    if missing := sorted(set(sizes) - counted):
        warnings.append(f"no ensembles of {', '.join(map(str, missing))}: the pool has {models} models")
    if barred := sorted(counted - set(allowed)):
        warnings.append(f"no ensembles of {', '.join(map(str, barred))} to choose from: none is within the limits")
    for same_size in ensembles:
        if not same_size.whole:
            every = comb(models, same_size.size)
            sample = f"a seeded sample of {len(same_size.members):,} (task.most)"
            warnings.append(f"of {every:,} ensembles of {same_size.size} {sample}")
    fewest = int((~right).sum(axis=1).min())
    if fewest < FEW_ERRORS:
        warnings.append(
            f"the best model makes {fewest} errors on {images} images: differences between ensembles are "
            "mostly chance; give a larger dataset.size"
        )
    return warnings


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The result in one sentence or two per size."""
    relations = tables["ensemble_relations"].query("measure == 'reduction' and given != ''").set_index(["size", "with"])
    sentences = []
    for row in tables["ensemble_sizes"].itertuples():
        parts = [f"{words} {correlation(relations.loc[(row.size, name)])}" for name, words in WORDS.items()]
        sentences.append(
            f"Ensembles of {row.size} make {row.reduction:.1%} fewer errors than their members on average. The rank "
            f"correlation of this reduction, with the members' accuracy accounted for, is with their "
            f"{', '.join(parts)}."
        )
    return sentences


def correlation(row: Any) -> str:
    low, high = number(row.low, ".2f"), number(row.high, ".2f")
    return f"{number(row.spearman, '.2f')} ({low} to {high}, p = {number(row.p, '.3f')})"


def show(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], page: Path) -> None:
    """Print the results."""
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    console.print(f"clusters: {summary['clusters']['SAT']}", soft_wrap=True)
    table = printing.table("errors of ensembles", "members", numbers=ERRORS)
    for row in tables["ensemble_sizes"].itertuples():
        rates = f"{row.members_error:.2%}", f"{row.error:.2%}", f"{row.reduction:.1%}", f"{row.all_wrong:.2%}"
        table.add_row(str(row.size), f"{row.ensembles:,}", *rates)
    console.print(table)
    for finding in summary["findings"]:
        console.print(finding, soft_wrap=True)
    if "calibration" in tables:
        table = printing.table("calibration", "members", numbers=CALIBRATION)
        for row in tables["calibration"].itertuples():
            rates = (row.ece, row.members_ece, row.confidence, 1 - row.error)
            likelihoods = f"{row.nll:.3f}", f"{row.members_nll:.3f}"
            table.add_row(str(row.size), *likelihoods, *(f"{rate:.1%}" for rate in rates))
        console.print(table)
    show_recommended(console, tables["recommended"], tables["selection"])
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)


def show_recommended(console: Console, recommended: pd.DataFrame, selection: pd.DataFrame) -> None:
    """Print the best ensemble of each size by each strategy, and the best single model."""
    gain = selection.set_index(["size", "strategy"])["below_random"]
    for size, rows in recommended.query("place == 1").groupby("size"):
        strategy = Column("chosen by", overflow="fold", min_width=36)
        numbers = "error", "held out", "gain", "SAT"
        table = printing.table(f"recommended ensembles of {size}", strategy, numbers=numbers)
        for row in rows.itertuples():
            name = Text.assemble(str(row.strategy), "\n", (str(row.models), "dim"))
            rates = f"{row.error:.2%}", f"{row.held_out:.2%}", f"{gain[(size, row.strategy)]:.2%}"
            table.add_row(name, *rates, f"{row.sat:.2f}")
        console.print(table)
    console.print(
        "(error: on all images, too low for a choice by validation error; held out: the mean error on one half of the "
        "images of ensembles chosen on the other half; gain: how far that is below a random ensemble of the size)",
        soft_wrap=True,
    )
    for row in selection[selection["strategy"] == SINGLE].itertuples():
        console.print(f"the best single model of one half has an error of {row.held_out:.2%} on the other half")
