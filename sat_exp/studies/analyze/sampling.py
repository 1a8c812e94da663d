"""The number of images that a ranking of pairs by SAT needs: SAT from fewer images against SAT from all."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from sat_exp.errors import UserError
from sat_exp.similarity.scores import SAT_FLOOR, Predictions, indicators, sat, weighted_sat
from sat_exp.statistics.hubs import nearest_columns
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
    seed: int = 0,
) -> pd.DataFrame:
    """The table `sample_size`: agreement of SAT from fewer images with SAT from all, over the pairs of distinct models.

    compare, floor: as for `similarity.score`; pairs not measured both ways are left out. sizes: how many images to draw
    without replacement, `repeats` times each; None for those of `grid`. The table has means over the repeats in which
    the measure is defined. UserError for fewer than three known pairs.

    - spearman, kendall: rank correlation over pairs with SAT from all images
    - spearman_disjoint: with SAT from as many other images. It does not become perfect with the number of images
    - same_nearest: share of models with the same most similar other model
    - missing: share of pairs without a common image among those drawn; the other measures leave them out
    """
    pairs, common, fooled = indicators(predictions, compare=compare)
    pairs, common, fooled = (part[pairs[:, 0] != pairs[:, 1]] for part in (pairs, common, fooled))
    images = common.shape[1]
    if (ranked := int(common.any(axis=1).sum())) < LEAST:
        raise UserError(f"{ranked} pairs are measured both ways, where {LEAST} are needed: measure more models")
    whole = sat(common.sum(axis=1), fooled.sum(axis=1), 0, floor)
    models = len(predictions.names)
    nearest = _nearest(whole, pairs, models)
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for size in grid(images) if sizes is None else sizes:
        places = np.array([rng.permutation(images) for _ in range(repeats)])
        chosen = weighted_sat(common, fooled, places < size, floor)
        same = [(_nearest(part, pairs, models) == nearest)[nearest >= 0].mean() for part in chosen]
        errors = np.abs(chosen - whole)
        known = [row[np.isfinite(row)] for row in errors]
        measures = pd.DataFrame(
            {
                "spearman": [_correlation(spearmanr, part, whole) for part in chosen],
                "kendall": [_correlation(kendalltau, part, whole) for part in chosen],
                "same_nearest": same,
                "mean_absolute_error": [row.mean() if row.size else np.nan for row in known],
                "missing": np.isnan(errors).mean(axis=1),
            }
        )
        if 2 * size <= images:
            others = weighted_sat(common, fooled, (places >= size) & (places < 2 * size), floor)
            measures["spearman_disjoint"] = [
                _correlation(spearmanr, *both) for both in zip(chosen, others, strict=True)
            ]
        low, high = percentile_interval(measures)
        rows += zip([size] * len(low), measures, measures.mean(), low, high, measures.count(), strict=True)
    return pd.DataFrame(rows, columns=["images", "measure", "value", "low", "high", "repeats"])


def grid(images: int) -> list[int]:
    """10, 20, 50, 100, ... below `images`, then `images`."""
    steps = [lead * 10**power for power in range(1, len(str(images)) + 1) for lead in (1, 2, 5)]
    return [*(step for step in steps if step < images), images]


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
    return nearest_columns(square, 1)[:, 0]
