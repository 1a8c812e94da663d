"""How many images a ranking of pairs by SAT needs: what fewer of those measured say of the whole."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from sat_exp.errors import UserError
from sat_exp.similarity.predictions import Predictions
from sat_exp.similarity.scores import SAT_FLOOR, indicators, sat, weighted_sat

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
    """SAT of the pairs of distinct models from fewer images beside SAT from all N of them.

    `compare` and `floor` as in `similarity.score`; pairs not measured both ways are left out.
    `sizes`: how many images to draw without replacement, `repeats` times each; None for those of `grid`.

    A row for each size and measure: images, measure, value, low, high, repeats; value is the mean over the repeats in
    which the measure is defined, which `repeats` counts, low and high their percentiles. measure:

    - spearman, kendall: rank correlation over pairs with SAT from all images
    - same_nearest: share of models with the same most similar other model
    - mean_absolute_error: over pairs, in units of SAT
    - spearman_disjoint: with SAT from as many other images, where there are twice as many. The measures above near
      their best as the images drawn become all there are; this one does not
    - missing: share of pairs without a common image among those drawn; they are left out of the others

    UserError for fewer than three known pairs and for a size that is not between 1 and N.
    """
    pairs, common, fooled = indicators(predictions, compare=compare)
    apart = pairs[:, 0] != pairs[:, 1]
    pairs, common, fooled = pairs[apart], common[apart], fooled[apart]
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
    rows = []
    for size in grid(images) if sizes is None else sizes:
        places = np.array([rng.permutation(images) for _ in range(repeats)])
        chosen = weighted_sat(common, fooled, places < size, floor)
        measures = [_measures(part, whole, nearest, pairs, models) for part in chosen]
        if 2 * size <= images:
            others = weighted_sat(common, fooled, (places >= size) & (places < 2 * size), floor)
            for found, one, other in zip(measures, chosen, others, strict=True):
                found["spearman_disjoint"] = _correlation(spearmanr, one, other)
        for measure, values in pd.DataFrame(measures).items():
            known = values.dropna()
            ends = known.quantile([(1 - confidence) / 2, (1 + confidence) / 2])
            rows.append((size, measure, known.mean(), *ends, len(known)))
    return pd.DataFrame(rows, columns=["images", "measure", "value", "low", "high", "repeats"])


def grid(images: int) -> list[int]:
    """10, 20, 50, 100, ... below `images`, then `images`."""
    steps = [lead * 10**power for power in range(1, len(str(images)) + 1) for lead in (1, 2, 5)]
    return [*(step for step in steps if step < images), images]


def _measures(
    part: Array, whole: Array, nearest: NDArray[np.int64], pairs: NDArray[np.int64], models: int
) -> dict[str, float]:
    known = np.isfinite(part) & np.isfinite(whole)
    found = _nearest(part, pairs, models)
    return {
        "spearman": _correlation(spearmanr, part, whole),
        "kendall": _correlation(kendalltau, part, whole),
        "same_nearest": float((found == nearest)[nearest >= 0].mean()),
        "mean_absolute_error": float(np.abs(part - whole)[known].mean()) if known.any() else np.nan,
        "missing": float((~known).mean()),
    }


def _correlation(of: Callable[[Array, Array], Any], one: Array, other: Array) -> float:
    """Over the pairs known to both; NaN where either does not vary."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if len(one) < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(of(one, other).statistic)


def _nearest(scores: Array, pairs: NDArray[np.int64], models: int) -> NDArray[np.int64]:
    """The most similar other model of each, int [M]; of equals the first, −1 where no pair of it is known."""
    square = np.full((models, models), -np.inf)
    square[pairs[:, 0], pairs[:, 1]] = square[pairs[:, 1], pairs[:, 0]] = np.where(np.isfinite(scores), scores, -np.inf)
    return np.where(np.isfinite(square).any(axis=1), square.argmax(axis=1), -1)
