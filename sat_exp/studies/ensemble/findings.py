"""What a study of ensembles says in words, and what is printed at its end."""

from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Column, Table
from rich.text import Text

from sat_exp.studies.ensemble.ensembles import Ensembles
from sat_exp.studies.ensemble.selection import SINGLE
from sat_exp.tasks import printing
from sat_exp.tasks.results import number

FEW_ERRORS = 100


def cautions(sizes: Sequence[int], found: Sequence[Ensembles], able: Sequence[int], right: np.ndarray) -> list[str]:
    """What a reader must know before trusting the numbers; able: sizes of which the limits leave some; right: bool
    [M, N]."""
    said, (models, images) = [], right.shape
    if lacking := sorted(set(sizes) - {of.size for of in found}):
        said.append(f"no ensembles of {', '.join(map(str, lacking))}: the pool has {models} models")
    if barred := sorted({of.size for of in found} - set(able)):
        said.append(f"no ensembles of {', '.join(map(str, barred))} to choose from: none is within the limits")
    for of in found:
        if not of.whole:
            every = comb(models, of.size)
            said.append(f"of {every:,} ensembles of {of.size} a seeded sample of {len(of.members):,} (task.most)")
    fewest = int((~right).sum(axis=1).min())
    if fewest < FEW_ERRORS:
        said.append(
            f"the best model makes {fewest} errors on {images} images: differences between ensembles are "
            "mostly chance; give a larger dataset.size"
        )
    return said


WORDS = {"sat": "SAT", "sat_without_hubs": "SAT without hubs", "error_consistency": "the consistency of their errors"}


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The result in a few sentences."""
    said = []
    known = tables["ensemble_relations"].query("measure == 'reduction' and given != ''").set_index(["size", "with"])
    for row in tables["ensemble_sizes"].itertuples():
        parts = [f"{words} {between(known.loc[(row.size, name)])}" for name, words in WORDS.items()]
        said.append(
            f"Ensembles of {row.size} make {row.reduction:.1%} fewer errors than their members on average. Rank "
            f"correlation of that with their members' {', '.join(parts)}, all with the members' accuracy accounted for."
        )
    return said


def between(row: Any) -> str:
    low, high = number(row.low, ".2f"), number(row.high, ".2f")
    return f"{number(row.spearman, '.2f')} ({low} to {high}, p = {number(row.p, '.3f')})"


def show(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], page: Path) -> None:
    console = printing.console()
    console.print(summary["title"], soft_wrap=True)
    console.print(f"clusters: {summary['clusters']['SAT']}", soft_wrap=True)
    table = Table("members", title="errors of ensembles", title_justify="left")
    for heading in ("ensembles", "members' error", "error", "reduction", "all wrong"):
        table.add_column(heading, justify="right")
    for row in tables["ensemble_sizes"].itertuples():
        shares = f"{row.members_error:.2%}", f"{row.error:.2%}", f"{row.reduction:.1%}", f"{row.all_wrong:.2%}"
        table.add_row(str(row.size), f"{row.ensembles:,}", *shares)
    console.print(table)
    for finding in summary["findings"]:
        console.print(finding, soft_wrap=True)
    if "calibration" in tables:
        table = Table("members", title="calibration", title_justify="left")
        for heading in ("NLL", "members' NLL", "ECE", "members' ECE", "confidence", "accuracy"):
            table.add_column(heading, justify="right")
        for row in tables["calibration"].itertuples():
            shares = (row.ece, row.members_ece, row.confidence, 1 - row.error)
            table.add_row(
                str(row.size),
                *(f"{nll:.3f}" for nll in (row.nll, row.members_nll)),
                *(f"{share:.1%}" for share in shares),
            )
        console.print(table)
    tried = tables["selection"].set_index(["size", "strategy"])
    for size, rows in tables["recommended"].query("place == 1").groupby("size"):
        table = Table(
            Column("chosen by", overflow="fold", min_width=36),
            title=f"recommended ensembles of {size}",
            title_justify="left",
        )
        for heading in ("error", "not seen", "gain", "SAT"):
            table.add_column(heading, justify="right")
        for row in rows.itertuples():
            table.add_row(
                Text.assemble(str(row.strategy), "\n", (str(row.models), "dim")),
                f"{row.error:.2%}",
                f"{row.held_out:.2%}",
                f"{tried.loc[(size, row.strategy), 'below_random']:.2%}",
                f"{row.sat:.2f}",
            )
        console.print(table)
    console.print(
        "(error: on all images, by which those of least validation error were chosen; not seen: on the other half of "
        "the images, when chosen on one; gain: how far that is below a random ensemble of the size)",
        soft_wrap=True,
    )
    for row in tables["selection"][tables["selection"]["strategy"] == SINGLE].itertuples():
        console.print(f"the best single model of one half has an error of {row.held_out:.2%} on the other")
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)
