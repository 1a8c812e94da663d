"""Finished runs with pair values, and files of groups, made without measuring."""

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd

from sat_exp import runs

from ...schemas import table_of

NAMES = ("a0", "a1", "b0", "b1")
HEAD = "test,stratum,model,group\n"
ROWS = "t,x,a0,a\nt,x,a1,a\nt,x,b0,b\nt,x,b1,b\n"


def written(folder: Path, rows: str = ROWS) -> Path:
    """A file of groups."""
    (folder / "groups.csv").write_text(HEAD + rows)
    return folder / "groups.csv"


def made(folder: Path, measures: Sequence[str] = ("agreement",), names: Sequence[str] = NAMES) -> Path:
    """A run of models, those of one letter being more alike by SAT; the measure `directed` is in both orders."""
    ways = list(combinations_with_replacement(names, 2))
    rng = np.random.default_rng(0)
    alike = np.array([a[0] == b[0] for a, b in ways])
    sat = 2 + alike + rng.random(len(ways)) / 2
    rates = dict.fromkeys(("transfer_rate_ab", "transfer_rate_ba"), np.exp(sat) / 101)
    pairs = table_of("pairs", len(ways), model_a=[a for a, _ in ways], model_b=[b for _, b in ways], images=100)
    pairs = pairs.assign(sat=sat, sat_low=sat - 0.1, sat_high=sat + 0.1, **rates)
    orders = [pair for way in combinations(names, 2) for pair in (way, way[::-1])]
    values = pd.DataFrame(
        [
            (a, b, measure, rng.random(), 0.0, 1.0)
            for measure in measures
            for a, b in (orders if measure == "directed" else orders[::2])
        ],
        columns=["model_a", "model_b", "measure", "value", "low", "high"],
    )
    tables = {"models": table_of("models", len(names), model=list(names), weak_attack=False), "pairs": pairs}
    tables["models"]["white_box_success"] = 1.0
    tables["models"].loc[0, ["white_box_success", "weak_attack"]] = 0.9, True
    tables["models"]["clean_accuracy"] = np.linspace(0.6, 0.9, len(names))
    with runs.drafted(folder) as place:
        runs.fill(place, {"task": "matrix"}, tables | ({"measures": values} if measures else {}))
    return folder


def opened(folder: Path, measures: Sequence[str] = ("agreement",), names: Sequence[str] = NAMES) -> runs.Run:
    return runs.Run.open(made(folder, measures, names))
