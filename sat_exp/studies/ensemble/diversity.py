"""The gain of ensembles, and its correlation with the similarity of their members.

Ensembles of one pool share members. Intervals therefore come from drawing models with replacement, and p values from
permuting models, as `sat_exp.statistics.relations` does for pairs; here for ensembles of any size.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.relations import basis_of
from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.studies.ensemble import groups
from sat_exp.studies.ensemble.groups import SAMPLE, multiplicity
from sat_exp.studies.ensemble.members import Array, Ensembles
from sat_exp.studies.ensemble.pool import SIMILARITIES, Pool

CONTROLS = ["members_error", "accuracy_gap"]

NAMED = 100_000
"""The most ensembles of all sizes in the table `ensembles`."""

ENDS = 1000
"""The ensembles of a size with the most and with the least reduction that the table has in any case."""


def gains(
    ensembles: Sequence[Ensembles], pool: Pool, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables of the members, and of the gain of ensembles by the similarity of their members."""
    drawing = {"resamples": resamples, "seed": seed}
    predictors, most = [*SIMILARITIES, "clusters"], NAMED // len(ensembles)
    by_size: dict[str, Callable[[Ensembles], pd.DataFrame]] = {
        "ensemble_sizes": groups.summary,
        "ensembles": lambda given: named(given, pool.names, most, seed),
        "ensembles_binned": lambda given: pd.concat([groups.binned(given, by) for by in SIMILARITIES]),
        "ensemble_relations": lambda given: relation(
            given, ["reduction", "all_wrong"], predictors, permutations=permutations, **drawing
        ),
        "ensembles_matched": lambda given: groups.matched(given, **drawing),
        "ensembles_by_clusters": lambda given: groups.by_clusters(given, **drawing),
    }
    others = (pool.sat.sum() - np.diag(pool.sat)).to_numpy() / (len(pool.names) - 1)
    of_model = {"model": pool.names, "accuracy": pool.accuracy, "cluster": pool.clusters}
    return {"members": pd.DataFrame({**of_model, **pool.costs, "sat_mean": others})} | {
        name: pd.concat(map(table, ensembles), ignore_index=True) for name, table in by_size.items()
    }


def named(ensembles: Ensembles, names: Sequence[str], most: int, seed: int) -> pd.DataFrame:
    """The rows of the table `ensembles`, largest reduction first: all ensembles, or the first and last ENDS and a
    seeded sample of the others, as the column `kept` states."""
    table = ensembles.table.sort_values("reduction", ascending=False, kind="stable")
    if len(table) <= most:
        kept = table.assign(kept="all")
    else:
        rng, middle = np.random.default_rng([seed, ensembles.size]), table.iloc[ENDS:-ENDS]
        drawn = np.sort(rng.choice(len(middle), most - 2 * ENDS, replace=False))
        parts = {"most": table.head(ENDS), "sample": middle.iloc[drawn], "least": table.tail(ENDS)}
        kept = pd.concat([part.assign(kept=why) for why, part in parts.items()])
    rows = np.array(names, object)[ensembles.members[kept.index]]
    kept.insert(1, "models", [" + ".join(row) for row in rows])
    return kept


def relation(
    ensembles: Ensembles,
    measures: Sequence[str],
    predictors: Sequence[str],
    *,
    resamples: int,
    permutations: int,
    seed: int,
) -> pd.DataFrame:
    """The rank correlation of each of `measures`, columns of the table, with each of `predictors`, properties: a table
    `ensemble_relations` or `calibration_relations`.

    Two rows per measure and predictor, without and with the CONTROLS accounted for (`given`). The correlation is over
    all `ensembles`; interval and p are from `used` of them. In a draw of models with replacement, an ensemble counts as
    often as the multiplicities of its members multiply to. p is two-sided, over `permutations` of the models (Dekker,
    Krackhardt and Snijders, Psychometrika 72, 2007: double semi-partialing). NaN where one of the two is constant.
    """
    names = [*predictors, *CONTROLS, *measures]
    table = ensembles.table.dropna(subset=list(measures))[names]
    rng = np.random.default_rng([seed, ensembles.size])
    used = table.index.to_numpy()
    if len(used) > SAMPLE:
        used = np.sort(rng.choice(used, SAMPLE, replace=False, shuffle=False))
    members, sample, every = ensembles.members[used], table.loc[used].to_numpy(float), table.to_numpy(float)
    covariances = [_covariance(_ranks(every), np.ones(len(every)))]
    ranked = _weighted_ranks(sample)
    for _ in range(resamples if len(used) else 0):
        weights = multiplicity(members, ensembles.models, rng)
        covariances.append(_covariance(ranked(weights), weights))
    orders = [np.arange(ensembles.models), *(rng.permutation(ensembles.models) for _ in range(permutations))]
    permuted = (np.sort(order[members], axis=1) for order in orders)
    functions = [ensembles.properties[name] for name in (*predictors, *CONTROLS)]
    controls = [names.index(name) for name in CONTROLS]
    tests = [[names.index(one), *given] for one in predictors for given in ([], controls)]
    statistics = [_statistic(_ranks(sample), test, len(measures)) for test in tests]
    moved = (_places(sample, [values(rows) for values in functions]) for rows in permuted)
    sizes = np.array([[statistic(ranks) for statistic in statistics] for ranks in moved])
    rows = []
    for (row, measure), (at, (predictor, *given)) in product(enumerate(measures), enumerate(tests)):
        chosen = np.ix_(*[[predictor, names.index(measure), *given]] * 2)
        spearman, *drawn = (_partial_correlation(covariance[chosen]) for covariance in covariances)
        tested = names[predictor], " + ".join(names[control] for control in given), len(table), len(used)
        p = permutation_p(sizes[0, at, row], sizes[1:, at, row])
        rows.append((ensembles.size, measure, *tested, spearman, *map(float, percentile_interval(drawn)), p))
    heads = ["size", "measure", "with", "given", "ensembles", "used", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=heads)


def _ranks(columns: Array) -> Array:
    return _weighted_ranks(columns)(np.ones(len(columns)))


def _weighted_ranks(columns: Array) -> Callable[[Array], Array]:
    """The ranks [E, K] of each column as a function of the weights of the rows, [E]; equal values have their mean."""
    groups = [np.unique(column, return_inverse=True)[1] for column in columns.T]

    def ranked(weights: Array) -> Array:
        ranks = np.empty(columns.shape)
        for position, group in enumerate(groups):
            size = np.bincount(group, weights)
            ranks[:, position] = (np.cumsum(size) - size + (size + 1) / 2)[group]
        return ranks

    return ranked


def _covariance(ranks: Array, weights: Array) -> Array:
    """The weighted covariance matrix of the columns of `ranks`, [K, K]; NaN if all weights are 0."""
    total = weights.sum()
    if total == 0:
        return np.full((ranks.shape[1],) * 2, np.nan)
    centred = ranks - weights @ ranks / total
    return (centred * weights[:, None]).T @ centred / total


def _partial_correlation(covariance: Array) -> float:
    """The correlation of the first two columns given the others, from their covariances; NaN where undefined."""
    if np.isnan(covariance).any():
        return np.nan
    inverse = np.linalg.pinv(covariance[2:, 2:], rcond=1e-9, hermitian=True)
    rest = covariance[:2, :2] - covariance[:2, 2:] @ inverse @ covariance[2:, :2]
    if (np.diag(rest) <= 1e-9 * np.maximum(np.diag(covariance)[:2], 1e-9)).any():
        return np.nan
    return float(rest[0, 1] / np.sqrt(rest[0, 0] * rest[1, 1]))


def _places(columns: Array, moved: Sequence[NDArray]) -> Array:
    """The ranks of other values, K of [E], among those of the first K of `columns`, [E, K]."""
    places = []
    for column, values in zip(columns.T, moved, strict=False):
        ordered = np.sort(column)
        places.append((np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2)
    return np.column_stack(places)


def _statistic(ranks: Array, test: Sequence[int], measures: int) -> Callable[[Array], Array]:
    """A function of the ranks of the properties of permuted ensembles, [E, K]: the absolute partial correlation of a
    predictor with each measure, [measures], up to a factor that is the same for all permutations. NaN if constant.

    ranks: of the ensembles themselves, [E, K + measures]. test: the predictor's column, then those of the controls.
    The predictor's residual, with coefficients from `ranks`, is permuted; its part in the controls is subtracted again.
    """
    controls, measured = ranks[:, test[1:]], ranks[:, -measures:]
    coefficients = np.linalg.lstsq(_with_constant(controls), ranks[:, test[0]], rcond=None)[0]
    basis = basis_of(controls)
    rest = measured - basis @ (basis.T @ measured)
    constant = np.ptp(rest, axis=0) <= 1e-9 * len(ranks)

    def statistic(properties: Array) -> Array:
        residual = properties[:, test[0]] - _with_constant(properties[:, test[1:]]) @ coefficients
        remainder = residual - basis @ (basis.T @ residual)
        length = np.linalg.norm(remainder)
        if np.ptp(residual) <= 1e-9 * len(residual) or length == 0:
            return np.full(measures, np.nan)
        return np.where(constant, np.nan, np.abs(remainder @ rest) / length)

    return statistic


def _with_constant(columns: Array) -> Array:
    return np.column_stack([np.ones(len(columns)), columns])
