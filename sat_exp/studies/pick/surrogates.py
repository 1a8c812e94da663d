"""The ranking of sources by how often their adversarial images fool other models."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from sat_exp.errors import UserError
from sat_exp.similarity import Predictions
from sat_exp.similarity.intervals import rate
from sat_exp.similarity.scores import masks, weighted_counts
from sat_exp.statistics.resampling import interval_columns, multiplicities


def ranked(
    predictions: Predictions,
    targets: Collection[str],
    *,
    compare: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """The table `surrogates`, best source first: the mean transfer rate of every source over the other `targets`.

    Intervals are percentile intervals over `resamples` draws of the images with replacement. All sources share a draw,
    so that behind_best, the best source's rate minus the source's, is a paired difference. first: the share of the
    draws in which the source is the best. A pair without common images, or without any in a draw, is left out of its
    source's mean; a source without any pair has no row, and UserError if no pair is left. compare: as for
    `similarity.score`.
    """
    ways = [way for way in predictions.adversarial if way[1] in targets and way[0] != way[1]]
    found = [masks(predictions, source, target, compare)[:2] for source, target in ways]
    kept = [place for place, (common, _) in enumerate(found) if common.any()]
    if not kept:
        raise UserError(f"no source and target have an image in common (labels={compare}): give a larger dataset.size")
    ways = [ways[place] for place in kept]
    common, fooled = (np.array([found[place][part] for place in kept], np.uint8) for part in (0, 1))
    sources = list(dict.fromkeys(source for source, _ in ways))
    draws = draws_of_images(common.shape[1], resamples, seed)
    images, hits = weighted_counts(common, fooled, draws)
    rates = pd.DataFrame(rate(hits, images).T, index=pd.Index([source for source, _ in ways], name="source"))
    means = rates.groupby(level="source").mean().loc[sources].to_numpy()  # [S, 1 + resamples], all images first
    best = means[:, 0].argmax()
    behind = means[best] - means
    table = pd.DataFrame({"source": sources, "targets": rates.groupby(level="source").size().loc[sources].to_numpy()})
    for name, values in (("mean_transfer_rate", means), ("behind_best", behind)):
        table = table.assign(**interval_columns(name, values[:, 0], values[:, 1:].T, confidence))
    drawn = means[:, 1:][:, ~np.isnan(means[:, 1:]).all(axis=0)]
    first = np.bincount(np.nan_to_num(drawn, nan=-1).argmax(axis=0), minlength=len(sources))
    return table.assign(first=rate(first, drawn.shape[1])).sort_values(
        "mean_transfer_rate", ascending=False, kind="stable", ignore_index=True
    )


def draws_of_images(images: int, resamples: int, seed: int) -> np.ndarray:
    """How often each image counts, int64 [1 + resamples, images]: once in row 0, then as drawn with replacement."""
    drawn = multiplicities(images, resamples, np.random.default_rng(seed))
    return np.vstack([np.ones(images, np.int64), drawn])
