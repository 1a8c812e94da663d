"""Rank correlations of SAT with other measures of the same pairs, plain and partial.

Pairs with a model in common are not independent. Intervals therefore come from draws of models, and p values from
permutations of models.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.statistics.weighted import partial_rank_correlations

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def pearson(x: Array, y: Array) -> float:
    """The correlation of x and y, both [N]; NaN for fewer than two values and where one of the two is constant."""
    if len(x) < 2 or min(np.ptp(x), np.ptp(y)) < 1e-12:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Array, y: Array) -> float:
    """The rank correlation of x and y, both [N]; NaN as for `pearson`."""
    return pearson(rankdata(x), rankdata(y))


def relation(
    pairs: pd.DataFrame,
    measures: Sequence[str],
    given: Sequence[str],
    *,
    resamples: int = 1000,
    permutations: int = 999,
    seed: int = 0,
    advance: Callable[[int], object] = lambda rows: None,
) -> pd.DataFrame:
    """The table `controls_and_sat`: rank correlation of SAT with each of `measures`, plain and given columns `given`.

    pairs: model_a, model_b, sat, and these columns; pairs of a model with itself and missing values are left out. The
    partial correlation is that of both ranks after least squares on the ranks of `given` is subtracted. The interval is
    from `resamples` draws of models with replacement, p from `model_permutation_p`. NaN where a measure is constant.

    advance: is called with 1 for each row of the table.
    """
    apart = pairs[pairs["model_a"] != pairs["model_b"]]
    rows = []
    for measure, controls in product(measures, [[], list(given)] if given else [[]]):
        known = apart.dropna(subset=["sat", measure, *controls])
        models = pd.Index(pd.unique(known[["model_a", "model_b"]].to_numpy().ravel()))
        first, second = (models.get_indexer(known[name]) for name in ("model_a", "model_b"))
        values = known[["sat", measure, *controls]].to_numpy(np.float64)
        rng = np.random.default_rng(seed)
        draws = rng.integers(0, len(models), (resamples if len(known) else 0, len(models)))
        times = (draws[:, :, None] == np.arange(len(models))).sum(axis=1)
        drawn = partial_rank_correlations(values, (times[:, first] * times[:, second]).astype(np.float64))
        low, high = percentile_interval(drawn)
        ranks = rankdata(values, axis=0)
        p = model_permutation_p(first, second, ranks[:, 1], ranks[:, 0], ranks[:, 2:], permutations, rng)
        counts = len(models), len(known)
        rows.append((measure, " + ".join(controls), *counts, partial_correlation(values), float(low), float(high), p))
        advance(1)
    return pd.DataFrame(rows, columns=["measure", "given", "models", "pairs", "spearman", "low", "high", "p"])


def model_permutation_p(
    first: Indices, second: Indices, x: Array, y: Array, controls: Array, permutations: int, rng: np.random.Generator
) -> float:
    """The two-sided p value of the partial correlation of x with y, both [P], given `controls`, [P, K].

    first, second: the models of each pair. The matrix of the residuals of x on `controls`, 0 for a missing pair, is put
    in `permutations` orders of the models (double semi-partialing: Dekker, Krackhardt and Snijders, Psychometrika 72,
    2007; without `controls` Mantel's test). NaN where `controls` determine x or y.
    """
    if not x.size:
        return np.nan
    models = int(max(first.max(), second.max())) + 1
    basis = basis_of(controls)
    rest_x, rest_y = (part - basis @ (basis.T @ part) for part in (x, y))
    if any(np.ptp(rest) <= 1e-9 * np.abs(part).max() for rest, part in ((rest_x, x), (rest_y, y))):
        return np.nan
    square = np.zeros((models, models))
    square[first, second] = square[second, first] = rest_x
    orders = [np.arange(models), *(rng.permutation(models) for _ in range(permutations))]
    moved = np.array([square[order[first], order[second]] for order in orders])
    moved -= (moved @ basis) @ basis.T
    length = np.linalg.norm(moved, axis=1)
    sizes = np.abs(moved @ rest_y) / np.where(length > 0, length, 1)
    return permutation_p(sizes[0], sizes[1:])


def basis_of(controls: Array) -> Array:
    """Orthonormal columns that span the constant and `controls`, [P, K]."""
    centred = controls - controls.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = sizes > 1e-9 * max(1.0, np.abs(controls).max(initial=0) * np.sqrt(len(controls)))
    return np.column_stack([np.full(len(controls), len(controls) ** -0.5), left[:, kept]])


def partial_correlation(columns: Array) -> float:
    """The rank correlation of the first two columns given the others, [P, 2 + K]; NaN where it is not defined."""
    return float(partial_rank_correlations(columns, np.ones((1, len(columns))))[0])
