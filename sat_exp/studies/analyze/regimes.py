"""Whether networks of one architecture are alike: other initialisations and recipes beside other architectures."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.errors import UserError, nearest

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

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
"""Which kinds of pairs an average is over."""


@dataclass(frozen=True)
class Regimes:
    """pairs: model_a, model_b, architecture_a, architecture_b, kind, sat; a row for every known pair of two models.
    averages: kind, pairs, models, architectures, mean, low, high, sd, least, most; a row for each of `KINDS` that has a
    pair.
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
    """Compares the kinds of pairs of a symmetric matrix of SAT [M, M].

    `groups`: model → architecture, seed, recipe, as `declared` reads it. kind of a pair: other architecture; of the
    same architecture, recipe where the recipes differ, else initialisation where the seeds do, else undeclared.

    averages: low and high are percentiles of `resamples` draws with replacement of the architectures, those of several
    models and those of one apart, and of the models in each architecture drawn; NaN for a single pair, and of a few
    pairs little more than their range. sd, least and most are of the pairs.

    tests: same against other architecture, under exchanges of the architectures among all models; and same against
    other recipe, under exchanges of the recipes in each architecture. difference of the mean SAT, its interval from the
    same draws; p, one-sided: the share of the arrangements of the labels that give at least that difference. exact:
    these are all that differ, at most `arrangements`; else as many are drawn at random, the found one counted. No row
    where one of the two kinds has no pair.
    """
    groups = declared(groups, [str(model) for model in sat.index])
    architecture, seeds, recipe = (pd.factorize(groups[part])[0].astype(np.int64) for part in GROUP)
    first, second = np.triu_indices(len(sat), 1)
    values = sat.to_numpy(np.float64)[first, second]
    first, second, values = (part[np.isfinite(values)] for part in (first, second, values))
    differs = [labels[first] != labels[second] for labels in (architecture, recipe, seeds)]
    pairs = pd.DataFrame(
        {
            "model_a": groups.index[first],
            "model_b": groups.index[second],
            "architecture_a": groups["architecture"].to_numpy()[first],
            "architecture_b": groups["architecture"].to_numpy()[second],
            "kind": np.select(differs, [OTHER, RECIPE, INITIALISATION], UNDECLARED),
            "sat": values,
        }
    )
    rng = np.random.default_rng(seed)
    of = {name: pairs["kind"].isin(kinds).to_numpy() for name, kinds in KINDS.items()}
    drawn = _draw(first, second, values, of, architecture, resamples, rng)
    rows = []
    for name, chosen in of.items():
        if not chosen.any():
            continue
        part = pairs[chosen]
        models = list({*part["model_a"], *part["model_b"]})
        counts = len(part), len(models), groups["architecture"][models].nunique()
        ends = _ends(drawn[name], confidence) if len(part) > 1 else (np.nan, np.nan)
        rows.append((name, *counts, part["sat"].mean(), *ends, *part["sat"].agg(["std", "min", "max"])))
    columns = ["kind", "pairs", "models", "architectures", "mean", "low", "high", "sd", "least", "most"]
    averages = pd.DataFrame(rows, columns=columns)

    tests = []
    for higher, lower, labels, strata in (
        (SAME_ARCHITECTURE, OTHER, architecture, np.zeros_like(architecture)),
        (SAME_RECIPE, RECIPE, recipe, architecture),
    ):
        if not (of[higher].any() and of[lower].any()):
            continue
        chosen = of[higher] | of[lower]
        pair = first[chosen], second[chosen]
        p, tried, exact = _test(*pair, values[chosen], labels, strata, arrangements, rng)
        difference = values[of[higher]].mean() - values[of[lower]].mean()
        ends = _ends(drawn[higher] - drawn[lower], confidence)
        tests.append((higher, lower, int(of[higher].sum()), int(of[lower].sum()), difference, *ends, p, tried, exact))
    columns = ["higher", "lower", "pairs_higher", "pairs_lower", "difference", "low", "high", "p", "arrangements"]
    return Regimes(pairs, averages, pd.DataFrame(tests, columns=[*columns, "exact"]))


def declared(groups: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """architecture, seed and recipe of `models` as text, in their order.

    A model that declares no architecture has its own name for one. A seed or recipe that is not declared is a value
    like another, "": all that declare none share it. Models of `groups` that are not among `models` are left out.
    UserError for another column and for a model twice.
    """
    for column in groups.columns:
        if column not in GROUP:
            near = nearest(column, GROUP, most=1)
            hint = f"did you mean {near[0]}?" if near else f"give {', '.join(GROUP)}"
            raise UserError(f"a group has no {column!r}: {hint}")
    if repeated := list(groups.index[groups.index.duplicated()]):
        raise UserError(f"the group of {repeated[0]} is given twice: leave one of them out")
    table = groups.reindex(index=models, columns=list(GROUP)).astype(object)
    text = table.map(lambda value: "" if pd.isna(value) else _word(value))
    return text.assign(architecture=text["architecture"].where(text["architecture"] != "", text.index.to_series()))


def _word(value: object) -> str:
    """Whole numbers alike whether or not a missing seed beside them made them floating point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _draw(
    first: Labels,
    second: Labels,
    values: Array,
    of: dict[str, NDArray[np.bool_]],
    architecture: Labels,
    times: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """The mean SAT of each choice of pairs in `times` draws, [times]; NaN where a draw has none of them.

    Two copies of an architecture are drawn as if they were of different kinds of networks: pairs between them are left
    out, as they are neither.
    """
    members = [np.flatnonzero(architecture == label) for label in range(architecture.max() + 1)]
    strata = [[part for part in members if (part.size > 1) == several] for several in (True, False)]
    place = np.full((architecture.size,) * 2, -1)
    place[first, second] = place[second, first] = np.arange(values.size)
    weights = np.zeros((times, values.size))
    for draw in range(times):
        copies = [stratum[index] for stratum in strata for index in rng.integers(0, len(stratum), len(stratum))]
        models = np.concatenate([rng.choice(copy, copy.size) for copy in copies])
        copy = np.repeat(np.arange(len(copies)), [copy.size for copy in copies])
        one, other = np.triu_indices(models.size, 1)
        within = copy[one] == copy[other]
        between = architecture[models[one]] != architecture[models[other]]
        at = place[models[one], models[other]][within | between]
        weights[draw] = np.bincount(at[at >= 0], minlength=values.size)
    with np.errstate(invalid="ignore"):
        return {
            name: weights[:, chosen] @ values[chosen] / weights[:, chosen].sum(axis=1) for name, chosen in of.items()
        }


def _ends(drawn: Array, confidence: float) -> tuple[float, float]:
    """Percentile interval, NaN left out."""
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _test(
    first: Labels,
    second: Labels,
    values: Array,
    labels: Labels,
    strata: Labels,
    most: int,
    rng: np.random.Generator,
) -> tuple[float, int, bool]:
    """p of the mean difference between pairs of the same and of another label, the arrangements tried, whether all.

    Labels are exchanged within strata; the pairs are of two models of the same stratum.
    """
    inside = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    sizes = [sorted(np.unique(labels[part], return_counts=True)[1].tolist(), reverse=True) for part in inside]
    exact = math.prod(_ways(part) for part in sizes) <= most
    arranged = [labels]
    if exact:
        every = [list(_partitions(part.tolist(), size)) for part, size in zip(inside, sizes, strict=True)]
        for groups in product(*every):
            changed = np.arange(labels.size)
            for group in (group for part in groups for group in part):
                changed[list(group)] = group[0]
            arranged.append(changed)
    else:
        for _ in range(most - 1):
            changed = labels.copy()
            for part in inside:
                changed[part] = rng.permutation(labels[part])
            arranged.append(changed)
    found = np.concatenate([_differences(first, second, values, np.array(part)) for part in _batches(arranged)])
    tried = found[1:] if exact else found
    return float((tried >= found[0] - 1e-9).mean()), len(tried), exact


def _differences(first: Labels, second: Labels, values: Array, arranged: Labels) -> Array:
    """Mean of the pairs of one label minus that of the others, for each arrangement [A, M]; −∞ where one is empty."""
    same = (arranged[:, first] == arranged[:, second]).astype(np.float64)
    count, total = same.sum(axis=1), same @ values
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = total / count - (values.sum() - total) / (values.size - count)
    return np.where((count > 0) & (count < values.size), difference, -np.inf)


def _batches(arranged: list[Labels], size: int = 1000) -> Iterator[list[Labels]]:
    for start in range(0, len(arranged), size):
        yield arranged[start : start + size]


def _ways(sizes: Sequence[int]) -> int:
    """In how many ways models can be put into unnamed groups of these sizes."""
    ordered = math.factorial(sum(sizes)) // math.prod(math.factorial(size) for size in sizes)
    return ordered // math.prod(math.factorial(sizes.count(size)) for size in set(sizes))


def _partitions(models: Sequence[int], sizes: Sequence[int], after: int = -1) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Each way once; groups of one model are not listed. `sizes` from large to small; the next group begins behind the
    model `after`."""
    if not sizes or sizes[0] == 1:
        yield ()
        return
    for group in combinations(models, sizes[0]):
        if group[0] > after:
            rest = [model for model in models if model not in group]
            behind = group[0] if sizes[1:2] == sizes[:1] else -1
            for others in _partitions(rest, sizes[1:], behind):
                yield (group, *others)
