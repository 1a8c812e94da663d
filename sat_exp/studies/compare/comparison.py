"""The comparison of two SAT matrices over their common models: agreement, and every pair."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.errors import UserError
from sat_exp.similarity.matrices import Matrix
from sat_exp.studies.compare.agreement import agreement

LEAST = 3
"""Models, and pairs, that a comparison needs."""

LARGEST = 10


def compare(
    measured: Matrix, reference: Matrix, *, set_aside: Collection[str] = (), reason: str = "", **resampling: Any
) -> dict[str, pd.DataFrame]:
    """The tables `agreement`, `disagreements` (the ten largest) and `pairs_compared` of two matrices over their common
    models.

    Agreement is that of the group "all", and of the group "without `reason`", without the models `set_aside`, where
    these are some and at least three pairs are left. resampling: the options of `agreement`. UserError where the two
    have fewer than three models, or pairs known to both, in common.
    """
    known = set(reference.models)
    common = [model for model in measured.models if model in known]
    if len(common) < LEAST:
        raise UserError(
            f"{len(common)} models in common, where {LEAST} are needed: {measured.name} has {_first(measured.models)}; "
            f"{reference.name} has {_first(reference.models)}"
        )
    measured, reference = measured.subset(common), reference.subset(common)
    pairs = _pairs(measured, reference, set_aside)
    between = pairs[pairs["model_a"] != pairs["model_b"]].dropna(subset="difference")
    if len(between) < LEAST:
        raise UserError(
            f"{len(between)} pairs known to both {measured.name} and {reference.name}, where {LEAST} are needed: "
            "measure more pairs"
        )
    groups = {"all": common}
    kept = [model for model in common if model not in set_aside]
    if len(kept) < len(common) and (~between["set_aside"]).sum() >= LEAST:
        groups[f"without {reason}"] = kept
    tables = {
        group: agreement(measured.subset(models), reference.subset(models), **resampling)
        for group, models in groups.items()
    }
    largest = between["difference"].abs().sort_values(ascending=False, kind="stable").index[:LARGEST]
    return {
        "agreement": pd.concat(tables, names=["group", None]).reset_index("group").reset_index(drop=True),
        "disagreements": between.loc[largest].reset_index(drop=True),
        "pairs_compared": pairs,
    }


def _pairs(measured: Matrix, reference: Matrix, set_aside: Collection[str]) -> pd.DataFrame:
    """The table `pairs_compared` of two matrices of the same models.

    The error of a difference is the root of the sum of squares of the larger value's error downwards and the smaller
    one's upwards (Zou and Donner, Statistics in Medicine 27, 2008); NaN on the diagonal, where the attack differs.
    """
    models = np.array(measured.models)
    rows, columns = np.triu_indices(len(models))
    table = pd.DataFrame({"model_a": models[rows], "model_b": models[columns]})
    table["measured"] = measured.sat.to_numpy()[rows, columns]
    table["reference"] = reference.sat.to_numpy()[rows, columns]
    table["difference"] = table["measured"] - table["reference"]
    fall, rise = (
        np.hypot(high.below.to_numpy(), low.above.to_numpy())[rows, columns]
        for high, low in ((measured, reference), (reference, measured))
    )
    table["error"] = np.where(rows == columns, np.nan, np.where(table["difference"] > 0, fall, rise))
    table["standard_errors"] = table["difference"] / table["error"]
    return table.assign(set_aside=table["model_a"].isin(set_aside) | table["model_b"].isin(set_aside))


def _first(models: Sequence[str], number: int = 3) -> str:
    """The first `number` names and how many more there are."""
    more = f" and {len(models) - number} more" if len(models) > number else ""
    return (", ".join(models[:number]) or "no models") + more
