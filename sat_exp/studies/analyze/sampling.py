"""The number of images that a ranking of pairs by SAT needs: SAT from fewer images against SAT from all."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from sat_exp.errors import UserError
from sat_exp.similarity.predictions import Predictions
from sat_exp.similarity.scores import SAT_FLOOR, indicators, sat, weighted_sat
from sat_exp.statistics import neighbours
from sat_exp.statistics.resampling import percentile_interval

Array = NDArray[np.float64]

LEAST = 3
"""Pairs that can be ranked."""


def rank_stability(
    predictions: Predictions,
    sizes: Sequence[int] | None = None,
    *,
    repeats: int = 100,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of SAT from fewer images with SAT from all N of them, over the pairs of distinct models.

    `compare` and `floor` as for `similarity.score`; pairs not measured both ways are left out. `sizes`: how many images
    to draw without replacement, `repeats` times each; None for those of `grid`.

    One row per size and measure: images, measure, value, low, high, repeats. value is the mean over the repeats in
    which the measure is defined, `repeats` their number, low and high their percentiles. measure:

    - spearman, kendall: rank correlation over pairs with SAT from all images
    - same_nearest: share of models with the same most similar other model
    - mean_absolute_error: over pairs, in units of SAT
    - spearman_disjoint: with SAT from as many other images, where there are twice as many. Unlike the measures above,
      it does not approach its best value because the images drawn become all images
    - missing: share of pairs without a common image among those drawn; the other measures leave them out

    UserError for fewer than three known pairs and for a size that is not between 1 and N.
    """
    pairs, common, fooled = indicators(predictions, compare=compare)
    distinct = pairs[:, 0] != pairs[:, 1]
    pairs, common, fooled = pairs[distinct], common[distinct], fooled[distinct]
    images = common.shape[1]
    known = int(common.any(axis=1).sum())
    if known < LEAST:
        raise UserError(f"{known} pairs are measured both ways, where {LEAST} are needed: measure more models")
    if wrong := [size for size in sizes or [] if not 1 <= size <= images]:
        raise UserError(f"{wrong[0]} images cannot be drawn from {images}: give sizes from 1 to {images}")
    whole = sat(common.sum(axis=1), fooled.sum(axis=1), 0, floor)
    models = len(predictions.names)
    nearest = _nearest(whole, pairs, models)
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for size in grid(images) if sizes is None else sizes:
        places = np.array([rng.permutation(images) for _ in range(repeats)])
        chosen = weighted_sat(common, fooled, places < size, floor)
        measures = pd.DataFrame([_measures(part, whole) for part in chosen])
        same = [(_nearest(part, pairs, models) == nearest)[nearest >= 0].mean() for part in chosen]
        measures.insert(2, "same_nearest", same)
        if 2 * size <= images:
            others = weighted_sat(common, fooled, (places >= size) & (places < 2 * size), floor)
            correlations = [_correlation(spearmanr, one, other) for one, other in zip(chosen, others, strict=True)]
            measures["spearman_disjoint"] = correlations
        low, high = percentile_interval(measures, confidence)
        rows += zip([size] * len(low), measures, measures.mean(), low, high, measures.count(), strict=True)
    return pd.DataFrame(rows, columns=["images", "measure", "value", "low", "high", "repeats"])


def grid(images: int) -> list[int]:
    """10, 20, 50, 100, ... below `images`, then `images`."""
    steps = [lead * 10**power for power in range(1, len(str(images)) + 1) for lead in (1, 2, 5)]
    return [*(step for step in steps if step < images), images]


def _measures(part: Array, whole: Array) -> dict[str, float]:
    """The measures over pairs, of SAT from some images and from all, [P] each."""
    known = np.isfinite(part) & np.isfinite(whole)
    return {
        "spearman": _correlation(spearmanr, part, whole),
        "kendall": _correlation(kendalltau, part, whole),
        "mean_absolute_error": float(np.abs(part - whole)[known].mean()) if known.any() else np.nan,
        "missing": float((~known).mean()),
    }


def _correlation(statistic: Callable[[Array, Array], Any], one: Array, other: Array) -> float:
    """A rank correlation over the pairs known to both; NaN for fewer than three pairs, or where either is constant."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if len(one) < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(statistic(one, other).statistic)


def _nearest(scores: Array, pairs: NDArray[np.int64], models: int) -> NDArray[np.int64]:
    """The most similar other model of each, int [M], from the SAT of pairs [P]; −1 where no pair of it is known."""
    square = np.full((models, models), np.nan)
    square[pairs[:, 0], pairs[:, 1]] = square[pairs[:, 1], pairs[:, 0]] = scores
    return neighbours.nearest(square, 1)[:, 0]
