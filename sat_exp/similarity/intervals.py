"""Intervals of rates over images: Wilson's for one direction, and one for the mean of the two directions of a pair."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import betainc, ndtri

Array = NDArray[np.float64]

ONE_TAIL, TWO_TAILS = 0.71, 0.6
"""The share of the observed count's own probability that belongs to the tail, where one tail is possible and where both
are. They are about the smallest with which a 95% interval covers in at least 93% (`docs/intervals.md`); 1/2 is mid-P,
1 the exact test."""

STEP = 1e-12  # the search for an end starts at this share of the rate


def rate(successes: ArrayLike, trials: ArrayLike) -> Array:
    """successes/trials, float64; NaN where `trials` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(successes, np.float64) / np.asarray(trials, np.float64)


def rate_columns(name: str, successes: ArrayLike, trials: ArrayLike, confidence: float) -> dict[str, Array]:
    """A rate as `name`, and the ends of its Wilson interval as `name`_low and `name`_high."""
    low, high = wilson_interval(successes, trials, confidence)
    return {name: rate(successes, trials), f"{name}_low": low, f"{name}_high": high}


def wilson_interval(successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Wilson's (1927) score interval of a rate: lower and upper ends, float64 in [0, 1]; NaN where `trials` is 0. With
    p = successes/trials, n = trials and z the normal quantile of (1 + confidence)/2, the ends are (p + z²/2n ±
    z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)."""
    k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    z = ndtri((1 + confidence) / 2)
    observed = rate(k, n)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(k * (1 - observed) + z**2 / 4) / (n + z**2)
    low, high = np.minimum(centre - half, observed), np.maximum(centre + half, observed)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def mean_rate_interval(
    both: ArrayLike, one: ArrayLike, neither: ArrayLike, confidence: float = 0.95
) -> tuple[Array, Array]:
    """Interval of the mean of two rates measured on the same images: lower and upper ends, float64 in [0, 1].

    `both`, `one`, `neither`: the number of images that are hits in both, one or neither of the two directions; ≥ 0,
    not necessarily whole, arrays broadcast. Both ends are NaN without images.

    The interval holds the mean rates that a test does not reject. With n images and p = (2·both + one)/2n, the test
    takes the hits for a binomial count in 2n/D trials, where D is `design_effect`. Its tails are between mid-P and the
    exact test. `docs/intervals.md` has the derivation, the sources and the coverage.
    """
    cells = np.broadcast_arrays(*(np.asarray(count, np.float64) for count in (both, one, neither)))
    hits, single, misses = (np.ravel(cell) for cell in cells)
    known = hits + single + misses > 0
    low, high = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
    low[known] = _lower_end(hits[known], single[known], misses[known], 1 - confidence)
    high[known] = 1 - _lower_end(misses[known], single[known], hits[known], 1 - confidence)
    return low.reshape(cells[0].shape), high.reshape(cells[0].shape)


def standard_error(value: ArrayLike, low: ArrayLike, high: ArrayLike, confidence: float = 0.95) -> Array:
    """The standard error that an interval of a value implies, float64. It is the root mean square of the distances from
    the value to both ends, divided by the normal quantile of (1 + confidence)/2: positive where the interval has a
    width, even if the value is one of its ends."""
    point, below, above = (np.asarray(number, np.float64) for number in (value, low, high))
    return np.sqrt(((point - below) ** 2 + (above - point) ** 2) / 2) / ndtri((1 + confidence) / 2)


def p_too_many(rate: Array, both: Array, one: Array, neither: Array) -> Array:
    """The p value of the counts under a mean `rate` in (0, 1) that is below the observed one, float64 [P]. It grows
    with the rate."""
    images = both + one + neither
    effect = design_effect(rate, both, one, neither)
    hits, trials = (2 * both + one) / effect, 2 * images / effect
    rest = trials - hits
    at_least = np.where(hits > 0, betainc(np.maximum(hits, STEP), rest + 1, rate), 1)
    more = np.where(rest > 0, betainc(hits + 1, np.maximum(rest, STEP), rate), 0)
    no_hit, no_miss = 2 * ONE_TAIL * (1 - rate) ** images, 2 * ONE_TAIL * rate**images
    once, twice = (weight * at_least + (1 - weight) * more for weight in (ONE_TAIL, TWO_TAILS))
    return np.where(2 * twice <= no_hit, once, np.maximum(2 * twice, no_miss))


def design_effect(rate: Array, both: Array, one: Array, neither: Array) -> Array:
    """The variance of the mean rate in units of rate·(1 − rate)/2n, float64 [P]: 1 where the two directions hit
    independently, 2 where they hit the same images; at least 1/n.

    The probabilities of the three cells are those of this mean rate under which the counts are most likely. That of
    `one` has a closed form (as in Tango, Statistics in Medicine 17, 1998).
    """
    images = both + one + neither
    hit, miss = 2 * rate, 2 * (1 - rate)
    linear = 2 * one + both * miss + neither * hit
    root = np.sqrt(np.maximum(linear**2 - 4 * images * one * hit * miss, 0))
    single = 2 * one * hit * miss / (linear + root)
    return np.maximum(2 - 2 * single / (hit * miss), 1 / images)


def _lower_end(both: Array, one: Array, neither: Array, alpha: float) -> Array:
    """The rate at which `p_too_many` is `alpha`, at most the observed rate; 0 without a hit; float64 [P]."""
    rate = (2 * both + one) / (2 * (both + one + neither))
    found = rate.copy()
    top = np.minimum(rate, 1 - STEP)
    counts = both, one, neither
    search = (rate > 0) & (p_too_many(np.maximum(top, STEP), *counts) > alpha)
    if search.any():
        chosen = tuple(count[search] for count in counts)
        ends = elementwise.find_root(
            lambda mu, *known: p_too_many(mu, *known) - alpha, (top[search] * STEP, top[search]), args=chosen
        )
        found[search] = np.where(ends.success, ends.x, 0)
    return found
