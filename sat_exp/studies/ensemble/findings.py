"""The findings of the study in words: sentences for the page, warnings, and the tables that the console shows."""

from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.text import Text

from sat_exp.ensembles.members import Ensembles
from sat_exp.ensembles.selection import SINGLE
from sat_exp.tasks import printing
from sat_exp.tasks.results import number

FEW_ERRORS = 100  # of the best model, below which differences between ensembles are mostly chance

ERRORS = {"size": "", "ensembles": ",d", "members_error": ".2%", "error": ".2%", "reduction": ".1%", "all_wrong": ".2%"}
CALIBRATION = {"size": "", "nll": ".3f", "members_nll": ".3f", "ece": ".1%", "members_ece": ".1%", "confidence": ".1%"}
RECOMMENDED = {"chosen_by": "", "error": ".2%", "held_out": ".2%", "below_random": ".2%", "sat": ".2f"}
WORDS = {"sat": "SAT", "sat_without_hubs": "SAT without hubs", "error_consistency": "error consistency"}


def cautions(
    sizes: Sequence[int], ensembles: Sequence[Ensembles], allowed: Sequence[int], right: np.ndarray
) -> list[str]:
    """Warnings about what limits the results. allowed: the sizes with an ensemble within the limits. right: [M, N]."""
    warnings, (models, images) = [], right.shape
    counted = {same_size.size for same_size in ensembles}
    if missing := sorted(set(sizes) - counted):
        warnings.append(f"no ensembles of {', '.join(map(str, missing))}: the pool has {models} models")
    if barred := sorted(counted - set(allowed)):
        warnings.append(f"no ensembles of {', '.join(map(str, barred))} to choose from: none is within the limits")
    for same_size in ensembles:
        if not same_size.whole:
            every, sample = comb(models, same_size.size), f"a seeded sample of {len(same_size.members):,} (task.most)"
            warnings.append(f"of {every:,} ensembles of {same_size.size} {sample}")
    if (fewest := int((~right).sum(axis=1).min())) < FEW_ERRORS:
        few = f"the best model makes {fewest} errors on {images} images"
        warnings.append(f"{few}: differences between ensembles are mostly chance; give a larger dataset.size")
    return warnings


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The result in one sentence or two per size."""
    relations = tables["ensemble_relations"].query("measure == 'reduction' and given != ''").set_index(["size", "with"])
    sentences = []
    for row in tables["ensemble_sizes"].itertuples():
        parts = [f"{words} {correlation(relations.loc[(row.size, name)])}" for name, words in WORDS.items()]
        sentences.append(
            f"Ensembles of {row.size} make {row.reduction:.1%} fewer errors than their members on average. The rank "
            "correlation of this reduction, with the members' accuracy accounted for, is with their "
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
    console.print(printing.table("errors of ensembles", tables["ensemble_sizes"], ERRORS))
    for finding in summary["findings"]:
        console.print(finding, soft_wrap=True)
    if "calibration" in tables:
        calibration = tables["calibration"].assign(accuracy=1 - tables["calibration"]["error"])
        console.print(printing.table("calibration", calibration, CALIBRATION | {"accuracy": ".1%"}))
    gains = tables["selection"][["size", "strategy", "below_random"]]
    recommended = tables["recommended"].query("place == 1").merge(gains, on=["size", "strategy"])
    choices = [Text.assemble(row.strategy, "\n", (row.models, "dim")) for row in recommended.itertuples()]
    for size, rows in recommended.assign(chosen_by=choices).groupby("size"):
        console.print(printing.table(f"recommended ensembles of {size}", rows, RECOMMENDED))
    console.print(
        "(error: on all images, too low for a choice by validation error; held out: the mean error on one half of the "
        "images of ensembles chosen on the other half; below random: how far this is below a random ensemble)",
        soft_wrap=True,
    )
    for row in tables["selection"][tables["selection"]["strategy"] == SINGLE].itertuples():
        console.print(f"the best single model of one half has an error of {row.held_out:.2%} on the other half")
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)
