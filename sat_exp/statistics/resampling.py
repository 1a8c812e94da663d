"""Intervals from resampled values and p values from permuted ones, once for every study."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def percentile_interval(
    drawn: ArrayLike, confidence: float = 0.95, axis: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The percentile interval of resampled values, along `axis`: lower and upper ends, float64.

    Values that are NaN are left out; the ends are NaN where no value is left (Efron and Tibshirani 1993, §13.3).
    """
    values = np.asarray(drawn, np.float64)
    if not values.size:
        nothing = np.full(np.delete(values.shape, axis), np.nan)
        return nothing, nothing
    tail = (1 - confidence) / 2
    known = np.isfinite(values).any(axis=axis)
    low, high = np.nanquantile(np.where(np.expand_dims(known, axis), values, 0), [tail, 1 - tail], axis=axis)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def permutation_p(observed: float, permuted: ArrayLike) -> float:
    """The p value of a permutation test: the share of `permuted`, and the observed value itself, that is at least as
    large as `observed` (Phipson and Smyth 2010). Give absolute values for a two-sided test. NaN where `observed` is."""
    if not np.isfinite(observed):
        return float("nan")
    values = np.asarray(permuted, np.float64)
    return float((1 + (values >= observed * (1 - 1e-9)).sum()) / (1 + values.size))
