"""Similarity of networks of one architecture with other initialisations and recipes, against other architectures."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.hubs import known_pairs
from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.analyze.arrangements import Array, Labels, label_test

Mask = NDArray[np.bool_]

GROUP = ["architecture", "seed", "recipe"]

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


def regimes(
    sat: pd.DataFrame, groups: pd.DataFrame, *, resamples: int = 2000, arrangements: int = 20_000, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """The tables `regimes`, `regime_tests` and `regime_pairs` of a symmetric matrix of SAT [M, M].

    `groups`: model → architecture, seed, recipe. A model without an architecture has its own name as architecture. A
    missing seed or recipe is one value that all models without one share. The kind of a pair is `other architecture`,
    or for one architecture `recipe` where the recipes differ, else `initialisation` where the seeds do, else
    `undeclared`.

    `regimes`: low and high are percentiles of the draws of `_draws`. They are NaN for a single pair, and hardly more
    than the range of a few pairs. sd, least and most are of the pairs.

    `regime_tests`: same against other architecture, with permutations of the architectures among all models; and same
    against other recipe, with permutations of the recipes in each architecture. difference: of the mean SAT, its
    interval from the same draws. p: one-sided, see `label_test`, from at most `arrangements` arrangements of the
    labels. There is no row where one of the two kinds has no pair.
    """
    stated = groups.astype(object).reindex(index=sat.index, columns=GROUP)
    stated = stated.where(stated.notna(), "").astype(str)
    stated["architecture"] = stated["architecture"].where(stated["architecture"] != "", sat.index.to_series())
    architecture, seeds, recipe = (pd.factorize(stated[part])[0].astype(np.int64) for part in GROUP)
    first, second, values = known_pairs(sat)
    differs = [labels[first] != labels[second] for labels in (architecture, recipe, seeds)]
    pairs = pd.DataFrame({"model_a": sat.index[first], "model_b": sat.index[second]})
    for side, positions in (("a", first), ("b", second)):
        pairs[f"architecture_{side}"] = stated["architecture"].to_numpy()[positions]
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
    first: Labels,
    second: Labels,
    values: Array,
    chosen: dict[str, Mask],
    architecture: Labels,
    times: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """The mean SAT of each average in `times` draws, [times]; NaN where a draw has none of its pairs.

    A draw takes architectures with replacement, those of several models and those of one apart, and then models with
    replacement in each architecture drawn. Two copies of one architecture count as different networks. Pairs between
    them are left out, because they are of neither kind.
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
