"""The findings of the study in words: sentences for the page, warnings, and the tables that the console shows."""

from collections.abc import Iterator, Mapping, Sequence
from math import comb

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp.ensembles.members import Ensembles
from sat_exp.ensembles.selection import SINGLE, STRATEGIES
from sat_exp.report.headline import spread, value, with_ends
from sat_exp.tasks import printing

FEW_ERRORS = 100  # of the best model, below which differences between ensembles are mostly chance

ERRORS = {"size": "", "ensembles": ",d", "members_error": ".2%", "error": ".2%", "reduction": ".1%", "all_wrong": ".2%"}
RECOMMENDED = {"members": "", "strategy": "", "held_out": ".2%", "below_random": ".2%", "sat": ".2f"}


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


def findings(tables: Mapping[str, pd.DataFrame], right: np.ndarray) -> list[str]:
    """The gain of ensembles, its relation to SAT, and which ensemble to build. right: see `cautions`."""
    sizes = tables["ensemble_sizes"]
    counts = " to ".join(dict.fromkeys(str(size) for size in (sizes["size"].min(), sizes["size"].max())))
    gain = f"Ensembles of {counts} models make {spread(sizes['reduction'])} fewer errors than their members on average."
    if sizes["reduction"].isna().all():
        gain = f"Ensembles of {counts} models gain nothing that can be measured: their members make no errors."
    return [
        gain,
        *of_relation(tables["ensemble_relations"]),
        *of_choice(tables["selection"], tables["recommended"], right),
    ]


def of_relation(relations: pd.DataFrame) -> list[str]:
    """The relation of the reduction to SAT, for the size with the most ensembles; [] where it is not known."""
    rows = relations.query("measure == 'reduction' and `with` == 'sat' and given != ''").dropna(subset=["low", "high"])
    if rows.empty:
        return []
    row = rows.loc[rows["ensembles"].idxmax()]
    numbers = (
        f"{value(with_ends(row, 'spearman'), 'spearman')}, p = {row['p']:.3f}, for "
        f"{row['size']} members of equal accuracy"
    )
    if row["low"] <= 0 <= row["high"]:
        return [
            "Whether members of low SAT gain more is uncertain: the rank correlation of SAT with the gain is "
            f"{numbers}, and its interval includes 0."
        ]
    direction = "less" if row["spearman"] < 0 else "more"
    return [f"The {direction} alike the members by SAT, the larger the gain: rank correlation {numbers}."]


def of_choice(selection: pd.DataFrame, recommended: pd.DataFrame, right: np.ndarray) -> list[str]:
    """The strategy with the least error on images that it did not choose on, and its ensemble; [] without any."""
    rows = selection[selection["strategy"].isin(STRATEGIES)].dropna(subset="held_out")
    single = selection[selection["strategy"] == SINGLE]
    if rows.empty or single.empty:
        return []
    best = rows.loc[rows["held_out"].idxmin()]
    first = recommended.query("place == 1 and size == @best['size'] and strategy == @best['strategy']")
    errors, images = int((~right).sum(axis=1).min()), right.shape[1]
    sure = "; task=pick states how certain that is"
    if errors < FEW_ERRORS:
        sure = f", but {errors} errors of the best model on {images:,} images make this mostly chance"
    return [
        f"Build {first['models'].iloc[0]}, chosen by {best['strategy']}: {best['held_out']:.2%} errors on images that "
        f"the choice did not use, against {single['held_out'].iloc[0]:.2%} of the best single model{sure}."
    ]


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The errors of each size, and the best choice of each size."""
    yield printing.table("errors of ensembles", tables["ensemble_sizes"], ERRORS)
    chosen = tables["selection"][tables["selection"]["strategy"].isin(STRATEGIES)].dropna(subset="held_out")
    best = chosen.loc[chosen.groupby("size")["held_out"].idxmin(), ["size", "strategy", "below_random"]]
    rows = tables["recommended"].query("place == 1").merge(best, on=["size", "strategy"])
    rows = rows.assign(members=rows["models"].str.replace(" + ", "\n", regex=False))
    yield printing.table("the best choice of each size, by errors on images that it did not use", rows, RECOMMENDED)
