"""Intervals from resampled values and p values from permuted ones, once for every study."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

TIE = 1e-9
"""How much less than the observed value still counts as equal: relative above 1, absolute below."""


def multiplicities(count: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of `count` items is in a bootstrap sample, as many items drawn with replacement; int64 [draws,
    count]."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws)


def percentile_interval(drawn: ArrayLike, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends, float64, of the percentile interval over the first axis of resampled values.

    NaN is left out. The ends are NaN where no value remains. Source: Efron and Tibshirani 1993, §13.3.
    """
    tail = (1 - confidence) / 2
    never_empty = np.insert(np.asarray(drawn, np.float64), 0, np.nan, axis=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        low, high = np.nanquantile(never_empty, [tail, 1 - tail], axis=0)
    return low, high


def interval_columns(name: str, value: ArrayLike, drawn: ArrayLike, confidence: float = 0.95) -> dict[str, Any]:
    """Columns of a table: `name`, and NAME_low and NAME_high, the ends of `percentile_interval` of `drawn`."""
    low, high = percentile_interval(drawn, confidence)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def permutation_p(observed: float, permuted: ArrayLike, *, exact: bool = False) -> float:
    """The p value of a permutation test: the share of values that are at least as large as `observed`.

    The values are `permuted` [R] and the observed one (Phipson and Smyth 2010). With `exact` they are `permuted` alone,
    which then holds every arrangement, the observed one included. For a two-sided test, give absolute values. NaN where
    `observed` is NaN.
    """
    if np.isnan(observed):
        return float("nan")
    values = np.asarray(permuted, np.float64)
    at_least = int((values >= observed - TIE * max(1.0, abs(observed))).sum())
    return at_least / values.size if exact else (1 + at_least) / (1 + values.size)
