"""The correlation between the gain of ensembles and the similarity of their members.

Ensembles of one pool share members. Intervals therefore come from drawing models with replacement, and p values from
permuting models, as `sat_exp.statistics.relations` does for pairs; here for ensembles of any size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.relations import basis_of
from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.studies.ensemble.groups import SAMPLE, multiplicity
from sat_exp.studies.ensemble.members import Array, Ensembles, Members, distinct, pair_mean

Property = Callable[[Members], Array]
"""A property of ensembles that follows from their members alone: int [E, n], ascending in each row → float64 [E]."""


def properties(matrices: Mapping[str, Array], clusters: NDArray[np.integer], errors: Array) -> dict[str, Property]:
    """The properties of ensembles by name: the mean over pairs of members of each of `matrices`, [M, M]; clusters, the
    number of different clusters, int [M]; members_error and accuracy_gap, as in `Ensembles.table`, from the error of
    each model, [M]."""
    means: dict[str, Property] = {name: partial(pair_mean, matrix) for name, matrix in matrices.items()}
    return means | {
        "clusters": lambda members: distinct(clusters, members).astype(np.float64),
        "members_error": lambda members: errors[members].mean(axis=1),
        "accuracy_gap": lambda members: np.ptp(errors[members], axis=1),
    }


def relation(
    ensembles: Ensembles,
    properties: Mapping[str, Property],
    measures: Sequence[str],
    *,
    predictors: Sequence[str] = ("sat", "clusters"),
    controls: Sequence[str] = ("members_error", "accuracy_gap"),
    resamples: int = 1000,
    permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """The rank correlation of each of `measures`, columns of the table, with each of `predictors`.

    Two rows per measure and predictor, without and with the `controls` accounted for. Columns: size; measure; with, the
    predictor; given, the controls joined by " + ", "" for the plain correlation; ensembles, their number; used, the
    number in the sample for interval and p; spearman, the partial rank correlation over all ensembles; low and high,
    percentiles over `resamples` draws of models with replacement, in which an ensemble counts as often as the
    multiplicities of its members multiply to; p, two-sided, over `permutations` of the models (Dekker, Krackhardt and
    Snijders, Psychometrika 72, 2007: double semi-partialing). NaN where one of the two is constant.
    """
    table = ensembles.table.dropna(subset=list(measures))
    rng = np.random.default_rng([seed, ensembles.size])
    used = table.index.to_numpy()
    if len(used) > SAMPLE:
        used = np.sort(rng.choice(used, SAMPLE, replace=False, shuffle=False))
    members, names = ensembles.members[used], [*predictors, *controls]

    def columns(rows: NDArray[np.integer]) -> Array:
        values = (properties[name](ensembles.members[rows]) for name in names)
        return np.column_stack([*values, table.loc[rows, list(measures)]])

    sample, every = columns(used), columns(table.index.to_numpy())
    covariances = [_covariance(_ranks(every), np.ones(len(every)))]
    ranked = _weighted_ranks(sample)
    for _ in range(resamples if len(used) else 0):
        weights = multiplicity(members, ensembles.models, rng)
        covariances.append(_covariance(ranked(weights), weights))
    orders = [np.arange(ensembles.models), *(rng.permutation(ensembles.models) for _ in range(permutations))]
    moved = (_places(sample, [properties[name](np.sort(order[members], axis=1)) for name in names]) for order in orders)
    tests = [(predictor, fixed) for predictor in predictors for fixed in ([], list(controls))[: 1 + bool(controls)]]
    position = {name: column for column, name in enumerate([*names, *measures])}
    p = _p_values(moved, _ranks(sample), [[position[name] for name in (one, *fixed)] for one, fixed in tests], names)
    rows = []
    for row, measure in enumerate(measures):
        for test, (predictor, fixed) in enumerate(tests):
            at = np.ix_(*[[position[name] for name in (predictor, measure, *fixed)]] * 2)
            spearman, *drawn = (_partial_correlation(covariance[at]) for covariance in covariances)
            low, high = percentile_interval(drawn)
            numbers = len(table), len(used), spearman, float(low), float(high), p[test, row]
            rows.append((ensembles.size, measure, predictor, " + ".join(fixed), *numbers))
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


def _places(columns: Array, moved: Sequence[Array]) -> Array:
    """The ranks of other values, K of [E], among those of the first K of `columns`, [E, K]."""
    places = []
    for column, values in zip(columns.T, moved, strict=False):
        ordered = np.sort(column)
        places.append((np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2)
    return np.column_stack(places)


def _p_values(moved: Iterator[Array], ranks: Array, tests: Sequence[Sequence[int]], names: Sequence[str]) -> Array:
    """The two-sided p values of `relation`, [tests, measures].

    moved: for each permutation of the models, the identity first, the ranks [E, names] of the properties. ranks: [E,
    names + measures]. tests: the column of the predictor, then those of the controls. The predictor's residual on the
    controls, as a function of ensembles, is evaluated for the permuted ones.
    """
    residuals: list[tuple[Sequence[int], NDArray, Array, Array]] = []
    for test in tests:
        coefficients = np.linalg.lstsq(_with_constant(ranks[:, test[1:]]), ranks[:, test[0]], rcond=None)[0]
        basis, measured = basis_of(ranks[:, test[1:]]), ranks[:, len(names) :]
        residuals.append((test, coefficients, basis, measured - basis @ (basis.T @ measured)))
    sizes = np.array([[_size(properties, *residual) for residual in residuals] for properties in moved])
    constant = np.array([np.ptp(measured, axis=0) <= 1e-9 * len(ranks) for *_, measured in residuals])
    p = np.apply_along_axis(lambda column: permutation_p(column[0], column[1:]), 0, sizes)
    return np.where(constant, np.nan, p)


def _size(properties: Array, test: Sequence[int], coefficients: NDArray, basis: Array, measured: Array) -> Array:
    """The absolute correlation of the predictor's residual, without its part in `basis`, with each column of
    `measured`, up to a factor that is the same for all permutations; NaN if the residual is constant."""
    residual = properties[:, test[0]] - _with_constant(properties[:, test[1:]]) @ coefficients
    remainder = residual - basis @ (basis.T @ residual)
    length = np.linalg.norm(remainder)
    if np.ptp(residual) <= 1e-9 * len(residual) or length == 0:
        return np.full(measured.shape[1], np.nan)
    return np.abs(remainder @ measured) / length


def _with_constant(columns: Array) -> Array:
    return np.column_stack([np.ones(len(columns)), columns])
