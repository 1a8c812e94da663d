"""Similarity of networks of one architecture with other initialisations and recipes, against other architectures."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product

import numpy as np
import pandas as pd
from more_itertools import chunked
from numpy.random import Generator
from numpy.typing import NDArray

from sat_exp.statistics.hubs import known_pairs
from sat_exp.statistics.resampling import percentile_interval, permutation_p

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

GROUP = ["architecture", "seed", "recipe"]

KINDS = {
    "initialisation": ("initialisation",),
    "recipe": ("recipe",),
    "undeclared": ("undeclared",),
    "same recipe": ("initialisation", "undeclared"),
    "same architecture": ("initialisation", "recipe", "undeclared"),
    "other architecture": ("other architecture",),
    "all": ("initialisation", "recipe", "undeclared", "other architecture"),
}
"""The kinds of pairs in each average."""

CHUNK = 1000
"""Arrangements whose differences are computed at once."""


def regimes(
    sat: pd.DataFrame, groups: pd.DataFrame, *, resamples: int = 2000, arrangements: int = 20_000, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """The tables `regimes`, `regime_tests` and `regime_pairs` of a symmetric matrix of SAT [M, M].

    groups: model → architecture, seed, recipe. A model without an architecture is one of its own; all models without a
    seed share one, as do those without a recipe. The kind of a pair is `other architecture`, or for one architecture
    `recipe` where the recipes differ, else `initialisation` where the seeds do, else `undeclared`.

    Intervals are percentiles of the draws of `_draws`. They are NaN for a single pair, and hardly wider than the range
    of a few pairs. The tests are one-sided (`label_test`): same against other architecture, with permutations of
    architectures among all models, and same against other recipe, with permutations of recipes in each architecture. A
    test of a kind without a pair has no row.
    """
    stated = groups.astype(object).reindex(index=sat.index, columns=GROUP)
    stated = stated.where(stated.notna(), "").astype(str)
    stated["architecture"] = stated["architecture"].where(stated["architecture"] != "", sat.index.to_series())
    architecture, seeds, recipe = (pd.factorize(stated[part])[0].astype(np.int64) for part in GROUP)
    first, second, values = known = known_pairs(sat)
    differs = [labels[first] != labels[second] for labels in (architecture, recipe, seeds)]
    pairs = pd.DataFrame({"model_a": sat.index[first], "model_b": sat.index[second]})
    pairs["architecture_a"], pairs["architecture_b"] = (stated["architecture"].iloc[of].array for of in (first, second))
    pairs["kind"] = np.select(differs, ["other architecture", "recipe", "initialisation"], "undeclared")
    pairs["sat"] = values
    rng = np.random.default_rng(seed)
    chosen = {name: pairs["kind"].isin(kinds).to_numpy() for name, kinds in KINDS.items()}
    drawn = _draws(known, chosen, architecture, resamples, rng)

    tests = []
    for higher, lower, labels, strata in (
        ("same architecture", "other architecture", architecture, np.zeros_like(architecture)),
        ("same recipe", "recipe", recipe, architecture),
    ):
        counts = int(chosen[higher].sum()), int(chosen[lower].sum())
        if all(counts):
            both = chosen[higher] | chosen[lower]
            test = label_test(first[both], second[both], values[both], labels, strata, arrangements, rng)
            difference = values[chosen[higher]].mean() - values[chosen[lower]].mean()
            low, high = percentile_interval(drawn[higher] - drawn[lower])
            tests.append((higher, lower, *counts, difference, float(low), float(high), *test))
    columns = ["higher", "lower", "pairs_higher", "pairs_lower", "difference", "low", "high", "p", "arrangements"]
    return {
        "regimes": _averages(pairs, chosen, drawn),
        "regime_tests": pd.DataFrame(tests, columns=[*columns, "exact"]),
        "regime_pairs": pairs,
    }


def _averages(pairs: pd.DataFrame, chosen: dict[str, Mask], drawn: dict[str, Array]) -> pd.DataFrame:
    """The table `regimes`; chosen: the pairs of each kind, [P]; drawn: the mean of each kind in every draw, [R]."""
    rows = []
    for name, inside in chosen.items():
        part = pairs[inside]
        if part.empty:
            continue
        counts = (pd.unique(part[[f"{of}_a", f"{of}_b"]].to_numpy().ravel()).size for of in ("model", "architecture"))
        low, high = percentile_interval(drawn[name] if len(part) > 1 else [])
        spread = part["sat"].agg(["std", "min", "max"])
        rows.append((name, len(part), *counts, part["sat"].mean(), float(low), float(high), *spread))
    columns = ["kind", "pairs", "models", "architectures", "mean", "low", "high", "sd", "least", "most"]
    return pd.DataFrame(rows, columns=columns)


def _draws(
    known: tuple[Labels, Labels, Array], chosen: dict[str, Mask], architecture: Labels, times: int, rng: Generator
) -> dict[str, Array]:
    """The mean SAT of each average in `times` draws, [times]; NaN where a draw has none of its pairs.

    A draw takes architectures with replacement, those of several models and those of one apart, and then models with
    replacement in each architecture drawn. Pairs between two copies of one architecture are of no kind and left out.
    """
    first, second, values = known
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


def label_test(
    first: Labels, second: Labels, values: Array, labels: Labels, strata: Labels, most: int, rng: Generator
) -> tuple[float, int, bool]:
    """The p value of a larger mean for pairs with one label; the number of arrangements; whether they are all.

    first, second, values: of each pair, [P]. labels, strata: of each model, [M]. Labels are permuted within strata: in
    all arrangements that differ, or, if these are more than `most`, in `most` − 1 random ones and the observed one.
    """
    inside = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    sizes = [sorted(np.unique(labels[part], return_counts=True)[1].tolist(), reverse=True) for part in inside]
    exact = math.prod(partition_count(part) for part in sizes) <= most
    arranged = _all(labels.size, inside, sizes) if exact else _random(labels, inside, most - 1, rng)
    parts = (_differences(first, second, values, np.array(part)) for part in chunked(arranged, CHUNK))
    permuted = np.concatenate([*parts, np.empty(0)])
    observed = float(_differences(first, second, values, labels[None])[0])
    return permutation_p(observed, permuted, exact=exact), permuted.size + (not exact), exact


def partition_count(sizes: Sequence[int]) -> int:
    """The number of partitions of models into groups of these sizes."""
    ordered = math.factorial(sum(sizes)) // math.prod(math.factorial(size) for size in sizes)
    return ordered // math.prod(math.factorial(sizes.count(size)) for size in set(sizes))


def partitions(models: Sequence[int], sizes: Sequence[int], after: int = -1) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every partition of models into groups of these sizes, from large to small, without its groups of one model.

    after: a model that the first member of the next group must follow.
    """
    if not sizes or sizes[0] == 1:
        yield ()
        return
    for group in combinations(models, sizes[0]):
        if group[0] > after:
            rest = [model for model in models if model not in group]
            for others in partitions(rest, sizes[1:], group[0] if sizes[1:2] == sizes[:1] else -1):
                yield (group, *others)


def _all(models: int, inside: Sequence[Labels], sizes: Sequence[Sequence[int]]) -> Iterator[Labels]:
    """Every arrangement of labels, [M], once; inside: the models of each stratum; sizes: of the groups in it."""
    strata = (list(partitions(part.tolist(), size)) for part, size in zip(inside, sizes, strict=True))
    for groups in product(*strata):
        arranged = np.arange(models)
        for group in chain.from_iterable(groups):
            arranged[list(group)] = group[0]
        yield arranged


def _random(labels: Labels, inside: Sequence[Labels], times: int, rng: Generator) -> Iterator[Labels]:
    """`times` random arrangements of the labels within strata, [M] each."""
    for _ in range(times):
        arranged = labels.copy()
        for part in inside:
            arranged[part] = rng.permutation(labels[part])
        yield arranged


def _differences(first: Labels, second: Labels, values: Array, arranged: Labels) -> Array:
    """The mean of pairs with one label minus that of the others, [A], for arrangements [A, M]; −∞ where undefined."""
    same = (arranged[:, first] == arranged[:, second]).astype(np.float64)
    count, total = same.sum(axis=1), same @ values
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = total / count - (values.sum() - total) / (values.size - count)
    return np.where((count > 0) & (count < values.size), difference, -np.inf)
