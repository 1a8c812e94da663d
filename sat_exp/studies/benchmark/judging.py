"""How well a measure tells pairs within a group from pairs between groups.

Source: Klabunde, Wald, Schumacher, Maier-Hein, Strohmaier and Lemmerich, *ReSi: A comprehensive benchmark for
representational similarity measures* (2024), for the tests, the area under the precision-recall curve (AUPRC) and the
violation rate. Pairs with a model in common are not independent. Intervals therefore come from draws of models, with
replacement within each group, because the groups are chosen and the models are not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.resampling import interval_columns, multiplicities, percentile_interval
from sat_exp.statistics.weighted import partial_rank_correlations
from sat_exp.studies.benchmark.groups import ACCURACY, SAT, Array, Stratum

RELATIONS = ["test", "measure", "reference", "strata", "pairs", "spearman", "low", "high"]
REFERENCES = (ACCURACY, "agreement", "jensen_shannon")
"""What the rank correlations are with: likeness of accuracy, of predicted classes, of predicted probabilities."""


def average_precision(values: Array, within: NDArray[np.bool_], weights: Array) -> Array:
    """The area under the precision-recall curve of finding the pairs `within` a group by large values, in each of
    `weights`; [R]. values: [P], no NaN. weights: [R, P]. Equal values are one step of the curve; it is not
    interpolated. NaN where the pairs within, or those between, have no weight."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=np.nan) != 0)
    found = np.cumsum(weights[:, order] * within[order], axis=1)[:, last]
    taken = np.cumsum(weights[:, order], axis=1)[:, last]
    all_within = found[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(taken > 0, found / taken, 0)
        area = (np.diff(found, axis=1, prepend=0) / all_within * precision).sum(axis=1).clip(0, 1)  # rounding
    return np.where((all_within[:, 0] > 0) & (taken[:, -1] > all_within[:, 0]), area, np.nan)


def expected_precision(within: int, pairs: int) -> float:
    """The average precision that a random order of `pairs` has on average, a little above the share of pairs `within`.
    Source: Bestgen, *Exact expected average precision of the random baseline for system evaluation* (2015). NaN where
    there are no pairs of both kinds."""
    if not 0 < within < pairs:
        return float("nan")
    harmonic = (1 / np.arange(1, pairs + 1)).sum()
    return float((within - 1 + (pairs - within) / pairs * harmonic) / (pairs - 1))


def violations(values: Array, first: NDArray, second: NDArray, groups: NDArray, weights: Array) -> Array:
    """How often a pair within a group is not more similar than a pair of one of the group and another model, in each of
    `weights`; [R]. values: [P], no NaN. first, second: the models of each pair. groups: of each model, integers [M].
    A tie is a violation, as in ReSi. NaN where nothing is compared."""
    broken, compared = np.zeros(len(weights)), np.zeros(len(weights))
    for group in np.unique(groups):
        members = (groups[first] == group).astype(int) + (groups[second] == group)
        inside, across = members == 2, members == 1
        lower = (values[inside][:, None] <= values[across][None, :]).astype(np.float64)
        broken += ((weights[:, inside] @ lower) * weights[:, across]).sum(axis=1)
        compared += weights[:, inside].sum(axis=1) * weights[:, across].sum(axis=1)
    return np.divide(broken, compared, out=np.full(len(weights), np.nan), where=compared > 0)


def drawn_models(groups: NDArray, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each model is drawn, [R, M]: from every group as many as it has, with replacement."""
    times = np.zeros((resamples, len(groups)), dtype=np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        times[:, members] = multiplicities(len(members), resamples, rng)
    return times


def with_share(weights: Array, within: NDArray[np.bool_]) -> Array:
    """`weights` [R, P] with those of the pairs `within` scaled, so that their share, on which chance depends, is that
    of all pairs: a model that is drawn twice has no pair with itself, which makes pairs within rarer in draws."""
    inside, across = weights[:, within].sum(axis=1), weights[:, ~within].sum(axis=1)
    wanted = within.sum() / max((~within).sum(), 1)
    factor = np.divide(wanted * across, inside, out=np.zeros(len(weights)), where=inside > 0)
    return np.where(within, weights * factor[:, None], weights)


@dataclass(frozen=True)
class Judged:
    """What one stratum says of one measure, on the `pairs` for which it has a value, `within` of them within a group.

    numbers: by name, [1 + R] each: the value, and those of the draws. relations: the rank correlation with a reference
    by its name, likewise. related: the pairs of each relation.
    """

    numbers: dict[str, Array]
    relations: dict[str, Array]
    related: dict[str, int]
    distance: bool
    models: int
    pairs: int
    within: int


@dataclass(frozen=True)
class Draws:
    """The pairs of a stratum, and how often each is drawn. first, second: their models, [P]. groups: of each model,
    integers [M]. within: bool [P]. weights: [1 + R, P], the first row of ones."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    groups: NDArray[np.intp]
    within: NDArray[np.bool_]
    weights: Array

    @classmethod
    def of(cls, stratum: Stratum, resamples: int, seed: int) -> "Draws":
        """Those of a stratum, by `seed` and its name alone."""
        first, second = np.triu_indices(len(stratum.models), 1)
        groups = np.unique(stratum.groups, return_inverse=True)[1]
        rng = np.random.default_rng([seed, *f"{stratum.test}/{stratum.name}".encode()])
        times = np.vstack([np.ones((1, len(groups)), dtype=np.int64), drawn_models(groups, resamples, rng)])
        weights = (times[:, first] * times[:, second]).astype(np.float64)
        return cls(first, second, groups, groups[first] == groups[second], weights)

    def auprc(self, values: Array, known: NDArray[np.bool_]) -> Array:
        """AUPRC on the pairs `known`, [1 + R]."""
        within = self.within[known]
        return average_precision(values[known], within, with_share(self.weights[:, known], within))


def judged(stratum: Stratum, resamples: int, seed: int) -> dict[str, Judged]:
    """AUPRC, violation rate and rank correlations of every measure. A pair for which a measure has no value is left out
    for this measure, and in the comparison of the two also for SAT."""
    draws = Draws.of(stratum, resamples, seed)
    values = {measure: table[draws.first, draws.second] for measure, table in stratum.values.items()}
    likeness = {ACCURACY: -np.abs(stratum.accuracies[draws.first] - stratum.accuracies[draws.second])}
    likeness |= {name: values[name] for name in REFERENCES if name in values}
    found = {}
    for measure, own in values.items():
        known = np.isfinite(own)
        both = known & np.isfinite(values[SAT])
        first, second, weights = draws.first[known], draws.second[known], draws.weights[:, known]
        numbers = {
            "auprc": draws.auprc(own, known),
            "violation_rate": violations(own[known], first, second, draws.groups, weights),
            "auprc_above_sat": draws.auprc(own, both) - draws.auprc(values[SAT], both),
        }
        relations, related = {}, {}
        for reference, other in likeness.items():
            common = known & np.isfinite(other)
            if reference != measure and common.any():
                columns = np.column_stack([own[common], other[common]])
                relations[reference] = partial_rank_correlations(columns, draws.weights[:, common])
                related[reference] = int(common.sum())
        counts = len(draws.groups), int(known.sum()), int(draws.within[known].sum())
        found[measure] = Judged(numbers, relations, related, measure in stratum.distances, *counts)
    return found


def tables(
    found: Sequence[Stratum], *, resamples: int, confidence: float, seed: int, advance: Callable[[int], object]
) -> dict[str, pd.DataFrame]:
    """The tables of the study; advance: is called with 1 for each stratum. The numbers of a test are means over its
    strata, which are drawn independently."""
    tests: dict[str, dict[str, dict[str, Judged]]] = {}
    for stratum in found:
        tests.setdefault(stratum.test, {})[stratum.name] = judged(stratum, resamples, seed)
        advance(1)
    whole = [
        {"test": test} | row | {"strata": len(parts)}
        for test, parts in tests.items()
        for row in rows(list(parts.values()), confidence)
    ]
    by_stratum = [
        {"test": test, "stratum": name} | row
        for test, parts in tests.items()
        for name, part in parts.items()
        for row in rows([part], confidence)
    ]
    related = [
        {"test": test} | row for test, parts in tests.items() for row in relations(list(parts.values()), confidence)
    ]
    return {
        "recognition": pd.DataFrame(whole),
        "recognition_by_stratum": pd.DataFrame(by_stratum),
        "output_relations": pd.DataFrame(related, columns=RELATIONS),
        "group_members": pd.DataFrame([member for stratum in found for member in members(stratum)]),
    }


def rows(parts: Sequence[dict[str, Judged]], confidence: float) -> list[dict[str, Any]]:
    """One row for each measure, the largest AUPRC first: means over strata."""
    made = []
    for measure in parts[0]:
        own = [part[measure] for part in parts]
        row: dict[str, Any] = {"measure": measure, "distance": own[0].distance}
        row |= {name: sum(getattr(part, name) for part in own) for name in ("models", "pairs", "within")}
        row["chance"] = float(np.mean([expected_precision(part.within, part.pairs) for part in own]))
        for name in own[0].numbers:
            values = np.mean([part.numbers[name] for part in own], axis=0)
            row |= interval_columns(name, values[0], values[1:], confidence)
        made.append(row)
    return sorted(made, key=lambda row: (np.isnan(row["auprc"]), -row["auprc"]))


def relations(parts: Sequence[dict[str, Judged]], confidence: float) -> list[dict[str, Any]]:
    """One row for each measure and reference: means over the strata that know both."""
    made = []
    for measure, reference in dict.fromkeys(
        (name, key) for part in parts for name in part for key in part[name].relations
    ):
        having = [part[measure] for part in parts if reference in part[measure].relations]
        values = np.mean([part.relations[reference] for part in having], axis=0)
        low, high = percentile_interval(values[1:], confidence)
        row = {"measure": measure, "reference": reference, "strata": len(having)}
        row |= {"pairs": sum(part.related[reference] for part in having)}
        made.append(row | {"spearman": values[0], "low": low, "high": high})
    return made


def members(stratum: Stratum) -> list[dict[str, Any]]:
    """The rows of the table `group_members`."""
    listed = zip(stratum.models, stratum.groups, stratum.accuracies, strict=True)
    where = {"test": stratum.test, "stratum": stratum.name, "run": stratum.run}
    return [where | {"model": model, "group": group, "clean_accuracy": known} for model, group, known in listed]
