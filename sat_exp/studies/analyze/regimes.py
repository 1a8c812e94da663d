"""Similarity of networks of one architecture with other initialisations and recipes, against other architectures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.errors import UserError, nearest
from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze.arrangements import Array, Labels, label_test

GROUP = ("architecture", "seed", "recipe")

INITIALISATION, RECIPE, UNDECLARED, OTHER = "initialisation", "recipe", "undeclared", "other architecture"
SAME_RECIPE, SAME_ARCHITECTURE, ALL = "same recipe", "same architecture", "all"

KINDS = {
    INITIALISATION: (INITIALISATION,),
    RECIPE: (RECIPE,),
    UNDECLARED: (UNDECLARED,),
    SAME_RECIPE: (INITIALISATION, UNDECLARED),
    SAME_ARCHITECTURE: (INITIALISATION, RECIPE, UNDECLARED),
    OTHER: (OTHER,),
    ALL: (INITIALISATION, RECIPE, UNDECLARED, OTHER),
}
"""The kinds of pairs in each average."""

Chosen = dict[str, NDArray[np.bool_]]
"""Which pairs are in each average, bool [P]."""


@dataclass(frozen=True)
class Regimes:
    """pairs, one row per known pair of two models: model_a, model_b, architecture_a, architecture_b, kind, sat.
    averages, one row per kind of `KINDS` with a pair: kind, pairs, models, architectures, mean, low, high, sd, least,
    most.
    tests: higher, lower, pairs_higher, pairs_lower, difference, low, high, p, arrangements, exact.
    """

    pairs: pd.DataFrame
    averages: pd.DataFrame
    tests: pd.DataFrame


def regimes(
    sat: pd.DataFrame,
    groups: pd.DataFrame,
    *,
    resamples: int = 2000,
    arrangements: int = 20_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Regimes:
    """A comparison of the kinds of pairs of a symmetric matrix of SAT [M, M].

    `groups`: model → architecture, seed, recipe, as `declared` reads it. kind of a pair: other architecture; and for
    one architecture: recipe where the recipes differ, else initialisation where the seeds do, else undeclared.

    averages: low and high are percentiles of `resamples` draws with replacement of the architectures, those of several
    models and those of one apart, and of the models in each drawn architecture. They are NaN for a single pair, and for
    a few pairs hardly more than their range. sd, least and most are of the pairs.

    tests: same against other architecture, with permutations of the architectures among all models; and same against
    other recipe, with permutations of the recipes in each architecture. difference of the mean SAT, its interval from
    the same draws; p, one-sided, see `label_test`, from at most `arrangements` arrangements of the labels. No row
    where one of the two kinds has no pair.
    """
    groups = declared(groups, [str(model) for model in sat.index])
    architecture, seeds, recipe = (pd.factorize(groups[part])[0].astype(np.int64) for part in GROUP)
    first, second = np.triu_indices(len(sat), 1)
    values = sat.to_numpy(np.float64)[first, second]
    first, second, values = (part[np.isfinite(values)] for part in (first, second, values))
    differs = [labels[first] != labels[second] for labels in (architecture, recipe, seeds)]
    pairs = pd.DataFrame({"model_a": groups.index[first], "model_b": groups.index[second]})
    for side, positions in (("a", first), ("b", second)):
        pairs[f"architecture_{side}"] = groups["architecture"].to_numpy()[positions]
    pairs["kind"] = np.select(differs, [OTHER, RECIPE, INITIALISATION], UNDECLARED)
    pairs["sat"] = values
    rng = np.random.default_rng(seed)
    chosen = {name: pairs["kind"].isin(kinds).to_numpy() for name, kinds in KINDS.items()}
    drawn = _draws(first, second, values, chosen, architecture, resamples, rng)

    tests = []
    for higher, lower, labels, strata in (
        (SAME_ARCHITECTURE, OTHER, architecture, np.zeros_like(architecture)),
        (SAME_RECIPE, RECIPE, recipe, architecture),
    ):
        counts = int(chosen[higher].sum()), int(chosen[lower].sum())
        if all(counts):
            both = chosen[higher] | chosen[lower]
            test = label_test(first[both], second[both], values[both], labels, strata, arrangements, rng)
            difference = values[chosen[higher]].mean() - values[chosen[lower]].mean()
            low, high = percentile_interval(drawn[higher] - drawn[lower], confidence)
            tests.append((higher, lower, *counts, difference, float(low), float(high), *test))
    columns = ["higher", "lower", "pairs_higher", "pairs_lower", "difference", "low", "high", "p", "arrangements"]
    averages = _averages(pairs, chosen, drawn, groups["architecture"], confidence)
    return Regimes(pairs, averages, pd.DataFrame(tests, columns=[*columns, "exact"]))


def declared(groups: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """architecture, seed and recipe of `models` as text, in their order.

    A model without an architecture has its own name as architecture. A missing seed or recipe is the value "", which
    all models without one share. Models of `groups` that are not in `models` are left out. UserError for another column
    and for a repeated model.
    """
    for column in groups.columns:
        if column not in GROUP:
            near = nearest(column, GROUP, most=1)
            hint = f"did you mean {near[0]}?" if near else f"give {', '.join(GROUP)}"
            raise UserError(f"a group has no {column!r}: {hint}")
    if repeated := list(groups.index[groups.index.duplicated()]):
        raise UserError(f"the group of {repeated[0]} is given twice: leave one of them out")
    table = groups.reindex(index=models, columns=list(GROUP)).astype(object)
    text = table.map(lambda value: "" if pd.isna(value) else _text(value))
    return text.assign(architecture=text["architecture"].where(text["architecture"] != "", text.index.to_series()))


def _text(value: object) -> str:
    """The value as text; whole numbers without decimals, which a column with missing values would add."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _averages(
    pairs: pd.DataFrame, chosen: Chosen, drawn: dict[str, Array], architectures: pd.Series, confidence: float
) -> pd.DataFrame:
    """Regimes.averages; drawn: the mean of each kind in every draw, [R]; architectures: by model."""
    rows = []
    for name, inside in chosen.items():
        part = pairs[inside]
        if part.empty:
            continue
        models = list({*part["model_a"], *part["model_b"]})
        counts = len(part), len(models), architectures[models].nunique()
        low, high = percentile_interval(drawn[name] if len(part) > 1 else [], confidence)
        spread = part["sat"].agg(["std", "min", "max"])
        rows.append((name, *counts, part["sat"].mean(), float(low), float(high), *spread))
    columns = ["kind", "pairs", "models", "architectures", "mean", "low", "high", "sd", "least", "most"]
    return pd.DataFrame(rows, columns=columns)


def _draws(
    first: Labels,
    second: Labels,
    values: Array,
    chosen: Chosen,
    architecture: Labels,
    times: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """The mean SAT of each average in `times` draws, [times]; NaN where a draw has none of its pairs.

    Two copies of a drawn architecture count as different networks: pairs between them are left out, because they are of
    neither kind.
    """
    members = [np.flatnonzero(architecture == label) for label in range(architecture.max() + 1)]
    strata = [[part for part in members if (part.size > 1) == several] for several in (True, False)]
    place = np.full((architecture.size,) * 2, -1)
    place[first, second] = place[second, first] = np.arange(values.size)
    weights = np.zeros((times, values.size))
    for draw in range(times):
        copies = [stratum[index] for stratum in strata for index in rng.integers(0, len(stratum), len(stratum))]
        models = np.concatenate([rng.choice(copy, copy.size) for copy in copies])
        copy_of = np.repeat(np.arange(len(copies)), [copy.size for copy in copies])
        one, other = np.triu_indices(models.size, 1)
        within = copy_of[one] == copy_of[other]
        between = architecture[models[one]] != architecture[models[other]]
        at = place[models[one], models[other]][within | between]
        weights[draw] = np.bincount(at[at >= 0], minlength=values.size)
    with np.errstate(invalid="ignore"):
        return {name: weights[:, part] @ values[part] / weights[:, part].sum(axis=1) for name, part in chosen.items()}
