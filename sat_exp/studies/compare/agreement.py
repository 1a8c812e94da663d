"""Measures of agreement of two SAT matrices of the same models.

Pairs with a model in common are not independent. Intervals therefore come from draws of models, and p values from
permutations of models.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.similarity.matrices import Matrix
from sat_exp.statistics.hubs import are_nearest
from sat_exp.statistics.relations import pearson, spearman
from sat_exp.statistics.resampling import percentile_interval, permutation_p

Array = NDArray[np.float64]
Order = NDArray[np.int64]

NEAREST = 5


def agreement(
    measured: Matrix, reference: Matrix, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Agreement of two matrices of the same models in the same order, one row per measure.

    models, pairs: how many; pairs are those of distinct models that are known to both. measure:

    - spearman, pearson: correlation over the pairs
    - pearson_ceiling: the correlation of two measurements of one truth with these standard errors, the root of the
      product of both reliabilities, 1 − mean squared error/variance
    - offset: mean of measured − reference; slope: of the least-squares line of measured on reference, which sampling
      error of the reference flattens
    - mean_absolute_difference, and centred_absolute_difference without the offset; expected: from the standard errors
      alone, the mean over pairs of √(2/π) times the error of a difference
    - same_nearest: how many models have the same nearest neighbour in both; nearest_overlap: the mean share of a
      model's five nearest (all, where it has fewer) that are the same; expected: by chance
    - white_box_measured, white_box_reference: mean white-box success of the models, from the diagonals

    low, high: percentile interval from `resamples` draws of models with replacement, without pairs of a model with
    itself. It is too wide where differences belong to single pairs. For correlations due to models, a 95 % interval
    covers the truth in about 90 % of pools of 30. p: of `resamples` orders of the reference's models, the observed one
    included (Mantel, Cancer Research 27, 1967); a missing pair counts as an average one there. NaN where a column does
    not apply.
    """
    a, b = _both_known(measured, reference)
    upper = np.triu_indices(len(a), 1)
    known = np.isfinite(a[upper])
    errors = [matrix.error.to_numpy()[upper][known] for matrix in (measured, reference)]
    noise = float(np.sqrt(2 / np.pi) * np.mean(np.hypot(*errors)))
    expected = dict.fromkeys(["mean_absolute_difference", "centred_absolute_difference"], noise)
    expected |= {"spearman": 0.0, "pearson": 0.0}
    rng = np.random.default_rng(seed)
    observed = _measures(a[upper][known], b[upper][known])
    samples = pd.DataFrame([_measures(*drawn) for drawn in _resampled(a, b, resamples, rng)], columns=list(observed))
    ends = pd.DataFrame(percentile_interval(samples, confidence), columns=samples.columns)
    orders = [rng.permutation(len(a)) for _ in range(resamples - 1)]
    p = {
        "spearman": _permuted_p(_standard(_ranks(a)), _standard(_ranks(b)), orders),
        "pearson": _permuted_p(_standard(a), _standard(b), orders),
    }
    rows: list[tuple[str | float, ...]] = [
        (name, value, *ends[name], expected.get(name, np.nan), p.get(name, np.nan)) for name, value in observed.items()
    ]
    reliability = [_reliability(matrix[upper][known], error) for matrix, error in zip((a, b), errors, strict=True)]
    rows.insert(2, ("pearson_ceiling", float(np.sqrt(np.prod(reliability)))))
    rows += [*_neighbours(a, b, orders), *_white_box(measured, reference)]
    table = pd.DataFrame(rows, columns=["measure", "value", "low", "high", "expected", "p"])
    table.insert(0, "models", len(a))
    table.insert(1, "pairs", int(known.sum()))
    return table


def _both_known(measured: Matrix, reference: Matrix) -> tuple[Array, Array]:
    """SAT of both, [M, M], NaN on the diagonal and where either is unknown."""
    a, b = measured.sat.to_numpy(), reference.sat.to_numpy()
    missing = np.isnan(a) | np.isnan(b) | np.eye(len(a), dtype=bool)
    return np.where(missing, np.nan, a), np.where(missing, np.nan, b)


def _measures(x: Array, y: Array) -> dict[str, float]:
    """The measures that are sums over pairs, x measured and y reference, both [P]; none where there is no pair."""
    if not x.size:
        return {}
    difference = x - y
    offset = difference.mean()
    centred = y - y.mean()
    return {
        "spearman": spearman(x, y),
        "pearson": pearson(x, y),
        "offset": offset,
        "slope": float(centred @ x / (centred @ centred)) if np.ptp(y) else np.nan,
        "mean_absolute_difference": np.abs(difference).mean(),
        "centred_absolute_difference": np.abs(difference - offset).mean(),
    }


def _neighbours(a: Array, b: Array, orders: Sequence[Order]) -> Iterator[tuple[str | float, ...]]:
    partners = np.isfinite(a).sum(axis=1)
    for name, number, total in (("same_nearest", 1, 1), ("nearest_overlap", NEAREST, int((partners > 0).sum()))):
        k = min(number, len(a) - 1)
        near = are_nearest(a, k), are_nearest(b, k)
        chosen = np.minimum(partners, k)
        with np.errstate(invalid="ignore"):
            same = np.nansum((near[0] & near[1]).sum(axis=1) / chosen)
            chance = np.nansum(chosen / partners)
        yield name, same / total, np.nan, np.nan, chance / total, _permuted_p(*near, orders)


def _white_box(measured: Matrix, reference: Matrix) -> Iterator[tuple[str | float, ...]]:
    """The rows of mean white-box success over the models where both matrices have it."""
    rates = np.exp([np.diag(matrix.sat) for matrix in (measured, reference)]) / 100
    rates = rates[:, np.isfinite(rates).all(axis=0)]
    for name, values in zip(("white_box_measured", "white_box_reference"), rates, strict=True):
        yield name, values.mean() if values.size else np.nan


def _reliability(values: Array, error: Array) -> float:
    """The share of the variance of values, [P], that is not due to their standard errors, [P]; at least 0."""
    variance = np.var(values)
    return max(0.0, float(1 - np.mean(error**2) / variance)) if variance else 0.0


def _resampled(a: Array, b: Array, times: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """The known pairs of distinct models among models drawn with replacement, from both matrices."""
    upper = np.triu_indices(len(a), 1)
    for _ in range(times):
        drawn = rng.integers(0, len(a), len(a))
        pairs = drawn[upper[0]], drawn[upper[1]]
        x, y = a[pairs], b[pairs]
        known = np.isfinite(x)
        yield x[known], y[known]


def _ranks(values: Array) -> Array:
    """Ranks of the entries among those that are not NaN; NaN stays NaN."""
    return rankdata(values, nan_policy="omit").reshape(values.shape)


def _standard(values: Array) -> Array:
    """Entries minus their mean over their standard deviation, 0 where missing."""
    spread = np.nanstd(values)
    return np.nan_to_num((values - np.nanmean(values)) / (spread if spread else 1))


def _permuted_p(x: NDArray[Any], y: NDArray[Any], orders: Sequence[Order]) -> float:
    """The one-sided p value of the sum of x·y, both [M, M], when the models of y are put in other orders."""
    return permutation_p((x * y).sum(), [(x * y[np.ix_(order, order)]).sum() for order in orders])
