"""SAT matrices from other draws of images, and with other sampling errors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.errors import UserError
from sat_exp.similarity.scores import SAT_FLOOR, Predictions, indicators, sat, weighted_counts, weighted_sat
from sat_exp.statistics.resampling import multiplicities

Array = NDArray[np.float64]


def resampled(
    predictions: Predictions, *, compare: str = "truth", floor: float = SAT_FLOOR, resamples: int = 100, seed: int = 0
) -> Iterator[pd.DataFrame]:
    """`resamples` SAT matrices, [M, M], each of as many images as there are, drawn with replacement.

    `compare` and `floor` as for `similarity.score`. A draw has the same images for all pairs, so that their errors
    correlate as they do in truth. Where none of a pair's drawn images is fooled, or all are, its rate of hits, or of
    misses, is drawn from Beta(½, n + ½), the Jeffreys posterior of none of n; otherwise all draws would be equal.
    UserError for a pair that was not measured both ways.
    """
    names = predictions.names
    images = len(predictions.clean[names[0]])
    rng = np.random.default_rng(seed)
    weights = multiplicities(images, resamples, rng)
    pairs, common, fooled = _complete_indicators(predictions, compare)
    drawn, hits = weighted_counts(common, fooled, weights)
    rare = 2 * drawn * rng.beta(0.5, drawn + 0.5)
    hits = np.where(hits == 0, rare, np.where(hits == 2 * drawn, hits - rare, hits))
    for matrix in _square(sat(drawn, hits, 0, floor), pairs, len(names)):
        yield pd.DataFrame(matrix, index=list(names), columns=list(names))


def weighted(
    predictions: Predictions, weights: NDArray[np.integer], *, compare: str = "truth", floor: float = SAT_FLOOR
) -> Array:
    """SAT matrices float64 [R, M, M] in which image n counts `weights`[r, n] ≥ 0 times; NaN for a pair without images.
    UserError for a pair that was not measured both ways."""
    pairs, common, fooled = _complete_indicators(predictions, compare)
    return _square(weighted_sat(common, fooled, weights, floor), pairs, len(predictions.names))


def perturbed(matrix: pd.DataFrame, error: pd.DataFrame, *, draws: int = 100, seed: int = 0) -> Iterator[pd.DataFrame]:
    """`draws` matrices [M, M] with other sampling errors: every pair plus a normal deviate of its standard error
    [M, M]; the diagonal is unchanged. For a matrix without predictions. Errors are independent, unlike those of real
    pairs."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        noise = np.triu(rng.standard_normal(matrix.shape) * error.to_numpy(), 1)
        yield matrix + noise + noise.T


def _complete_indicators(
    predictions: Predictions, compare: str
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """`indicators` of every pair; UserError for a pair that was not measured both ways."""
    names = predictions.names
    pairs, common, fooled = indicators(predictions, compare=compare)
    missing = np.argwhere(np.isnan(_square(np.ones((1, len(pairs))), pairs, len(names))[0]))
    if len(missing):
        a, b = (names[place] for place in missing[0])
        raise UserError(f"no SAT of {a} and {b}: measure every pair, or leave one of the two out")
    return pairs, common, fooled


def _square(values: Array, pairs: NDArray[np.int64], models: int) -> Array:
    """Symmetric matrices [R, M, M] from the values of pairs [R, P]."""
    found = np.full((len(values), models, models), np.nan)
    found[:, *pairs.T] = found[:, *pairs.T[::-1]] = values
    return found
