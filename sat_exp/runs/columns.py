"""What the tables of a run hold: the columns that readers rely on, their types and ranges."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_exp.runs import text

ROUNDING = 1e-6
"""By how much a float may lie outside of its range."""


@dataclass(frozen=True)
class Kind:
    """What a column holds. type: number, flag or text; or sat, a number whose least value the run states. low, high:
    the range of numbers. known: whether no value may be missing. name: whether texts are names, and not empty.
    optional: whether the column may be missing."""

    type: str
    low: float = -np.inf
    high: float = np.inf
    known: bool = False
    name: bool = False
    optional: bool = False

    def fault(self, column: pd.Series, floor: float) -> str | None:
        """What is wrong with a column, None where nothing is; `floor`: the least SAT."""
        values = column.dropna()
        if self.known and len(values) < len(column):
            return "a value is missing"
        if self.type == "text":
            return next(filter(None, map(name_fault, text.texts(values))), None) if self.name else None
        if self.type == "flag" or values.empty:
            return None
        low = floor if self.type == "sat" else self.low
        numbers = values.to_numpy(np.float64)
        wrong = numbers[~(np.isfinite(numbers) & (numbers >= low - ROUNDING) & (numbers <= self.high + ROUNDING))]
        return None if not len(wrong) else f"{wrong[0]:g} is not {self.wanted(low)}"

    def wanted(self, low: float) -> str:
        if np.isfinite(low) and np.isfinite(self.high):
            return f"from {low:.4g} to {self.high:.4g}"
        return f"{low:g} or more" if np.isfinite(low) else "a finite number"

    def fits(self, column: pd.Series) -> bool:
        """Whether a column has the type; what is missing throughout may have any."""
        if column.isna().all() and len(column):
            return not self.known
        return TYPES[self.type](column)


def is_text(column: pd.Series) -> bool:
    return all(isinstance(value, str) for value in column.dropna())


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def name_fault(value: str) -> str | None:
    return text.faults(value, name=True)


TYPES: dict[str, Callable[[pd.Series], bool]] = {
    "text": is_text,
    "number": is_number,
    "sat": is_number,
    "flag": pd.api.types.is_bool_dtype,
}

WORDS = {"text": "text", "number": "numbers", "sat": "numbers", "flag": "true and false"}

NAME = Kind("text", known=True, name=True)
TEXT = Kind("text")
FLAG = Kind("flag", known=True)
NUMBER = Kind("number")
COUNT = Kind("number", low=0)
RATE = Kind("number", 0, 1)
CLASS = Kind("number", low=-1, known=True)
SAT = Kind("sat", high=float(np.log(100)))


def of(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


def optional(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    return {
        name: Kind(kind.type, kind.low, kind.high, kind.known, kind.name, optional=True) for name, kind in kinds.items()
    }


def with_ends(kind: Kind, names: str) -> dict[str, Kind]:
    """Columns with their intervals."""
    return of(kind, " ".join(f"{name} {name}_low {name}_high" for name in names.split()))


PAIR = of(NAME, "model_a model_b")
RATES = "transfer_rate_ab transfer_rate_ba"

COLUMNS: dict[str, dict[str, Kind]] = {
    "models": of(NAME, "model family")
    | {"images": Kind("number", low=0, known=True)}
    | of(COUNT, "parameters attacked fooled mean_linf mean_l2 attack_seconds attack_images_per_second")
    | of(RATE, "changed_pixels")
    | with_ends(RATE, "clean_accuracy white_box_success")
    | of(FLAG, "weak_attack pretrained"),
    "pairs": PAIR
    | of(NAME, "family_a family_b")
    | of(COUNT, "images fooled_ab fooled_ba")
    | with_ends(RATE, RATES)
    | {"sat": SAT, "sat_low": NUMBER, "sat_high": NUMBER},
    "components": of(NAME, "model"),
    "failures": of(NAME, "model") | of(TEXT, "reason"),
    "examples": of(NAME, "model clean adversarial")
    | of(TEXT, "image_id")
    | of(COUNT, "image")
    | of(CLASS, "label clean_prediction adversarial_prediction")
    | of(FLAG, "known"),
    "example_predictions": of(NAME, "source target") | of(COUNT, "image") | of(CLASS, "prediction"),
    "embedding": of(NAME, "model method") | {axis: Kind("number", known=True) for axis in "xy"},
    "clusters": {"cluster": Kind("number", low=0, known=True)}
    | optional(of(NAME, "model") | of(COUNT, "without_hubs tree")),
    "cluster_stability": of(COUNT, "clusters") | of(NUMBER, "between_runs eigengap") | of(NAME, "matrix"),
    "consensus": PAIR | of(RATE, "share") | of(NAME, "matrix"),
    "pairs_without_hubs": PAIR | {"sat": SAT} | of(NUMBER, "expected residual"),
    "hubs": of(NAME, "model") | {"mean_sat": SAT} | of(COUNT, "rank nearest_to occurrences"),
    "directed": of(NAME, "model") | of(RATE, "fools fooled") | of(COUNT, "fools_rank fooled_rank")
    | of(NUMBER, "source target"),
    "importance": of(NAME, "component") | with_ends(NUMBER, "importance shuffled"),
    "regimes": of(NAME, "kind") | of(NUMBER, "mean low high"),
    "regime_pairs": PAIR | of(NAME, "kind") | {"sat": SAT},
    "controls": PAIR | {"sat": SAT} | optional(of(NUMBER, "agreement error_consistency noise_sat")),
    "controls_and_sat": of(NAME, "measure") | of(TEXT, "given") | of(NUMBER, "spearman low high"),
    "sample_size": of(NAME, "measure") | of(COUNT, "images") | of(NUMBER, "value low high"),
    "pairs_compared": PAIR
    | {"measured": SAT, "reference": SAT}
    | of(NUMBER, "difference")
    | of(COUNT, "error")
    | of(FLAG, "set_aside"),
    "ensembles": of(COUNT, "size clusters") | of(NAME, "models kept") | of(RATE, "members_error")
    | of(NUMBER, "reduction sat sat_without_hubs error_consistency"),
    "ensembles_binned": of(COUNT, "size") | of(NAME, "by") | of(NUMBER, "value reduction"),
    "ensemble_relations": of(COUNT, "size") | of(NAME, "measure with") | of(TEXT, "given")
    | of(NUMBER, "spearman low high p"),
    "ensembles_by_clusters": of(COUNT, "size clusters") | with_ends(NUMBER, "reduction all_wrong"),
    "calibration": of(COUNT, "size ensembles members_nll members_ece") | with_ends(COUNT, "nll ece"),
    "selection": of(COUNT, "size splits") | of(NAME, "strategy") | with_ends(RATE, "held_out"),
    "by_pair": of(NAME, "student teacher")
    | of(RATE, "baseline teacher_accuracy accuracy")
    | of(NUMBER, "gain gain_least gain_most")
    | {"sat_before": SAT, "sat_after": SAT}
    | of(FLAG, "same_base"),
    "pickers": of(NAME, "ranker") | of(TEXT, "left_out") | of(NUMBER, "spearman low high"),
}  # fmt: skip
"""By table; a table that is not here is shown as it is."""

UNIQUE: dict[str, list[str]] = {
    "models": ["model"],
    "components": ["model"],
    "pairs": ["model_a", "model_b"],
    "pairs_without_hubs": ["model_a", "model_b"],
    "pairs_compared": ["model_a", "model_b"],
    "controls": ["model_a", "model_b"],
    "regime_pairs": ["model_a", "model_b"],
    "consensus": ["model_a", "model_b", "matrix"],
    "embedding": ["model", "method"],
    "hubs": ["model"],
    "clusters": ["model"],
    "directed": ["model"],
    "regimes": ["kind"],
    "selection": ["size", "strategy"],
    "by_pair": ["student", "teacher"],
    "examples": ["model", "image"],
    "example_predictions": ["source", "target", "image"],
}
"""What tells the rows of a table apart; of two models in either order."""

WITHIN: dict[str, list[tuple[str, str]]] = {
    "models": [("fooled", "attacked"), ("attacked", "images")],
    "pairs": [("fooled_ab", "images"), ("fooled_ba", "images")],
}
"""Columns, and others that are never smaller."""

OF_MANY = ("pairs_without_hubs", "clusters", "consensus", "embedding")
LEAST = 3
"""Rows of each of these that an analysis of three models has."""

TOGETHER: dict[str, tuple[str, ...]] = {
    "cluster_stability": ("pairs_without_hubs", "clusters", "embedding"),
    "regimes": ("regime_pairs",),
    "controls": ("controls_and_sat",),
    "ensembles_binned": ("ensembles", "ensemble_relations", "ensembles_by_clusters", "selection"),
    "pickers": ("by_pair",),
}
"""Tables that are drawn with others."""


def fault(name: str, table: pd.DataFrame, floor: float) -> str | None:
    """What is wrong with the table `name`; `floor`: the logarithm of the run's floor, the least SAT."""
    if not table.columns.is_unique:
        return f"column {table.columns[table.columns.duplicated()][0]} twice"
    for column, kind in COLUMNS.get(name, {}).items():
        if column not in table:
            if kind.optional:
                continue
            return f"no column {column}"
        if not kind.fits(table[column]):
            return f"a column {column} of another type than {WORDS[kind.type]}"
        if found := kind.fault(table[column], floor):
            return f"a bad {column}: {found}"
    for part, whole in WITHIN.get(name, []):
        if (table[part] > table[whole]).any():
            return f"more {part} than {whole}"
    return repeated(table, UNIQUE.get(name, []))


def repeated(table: pd.DataFrame, keys: Iterable[str]) -> str | None:
    """The first row that a table has twice by what should tell its rows apart; None where there is none."""
    keys = [key for key in keys if key in table]
    if not keys or not len(table):
        return None
    told = table[keys].copy()
    if "model_a" in told:
        ordered = np.sort(told[["model_a", "model_b"]].to_numpy(str), axis=1)
        told["model_a"], told["model_b"] = ordered[:, 0], ordered[:, 1]
    twice = told[told.duplicated()]
    return None if twice.empty else f"{' and '.join(str(value) for value in twice.iloc[0])} twice"


def alone(tables: Mapping[str, pd.DataFrame]) -> str | None:
    """A table that is drawn with others which are not there, or are of too few models; None where there is none."""
    for name, others in TOGETHER.items():
        for other in others:
            if name in tables and other not in tables:
                return f"tables/{name} without tables/{other}"
    if "cluster_stability" in tables:
        if lacking := {"model", "without_hubs"} - set(tables["clusters"]):
            return f"tables/clusters without a column {min(lacking)}"
        few = min((len(tables[name]) for name in OF_MANY if name in tables), default=LEAST)
        if few < LEAST:
            return f"an analysis with a table of {few} rows, where {LEAST} are the least"
    return None
