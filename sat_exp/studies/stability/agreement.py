"""How far matrices of SAT agree that were measured in several ways on the same images.

All intervals come from the same draws of the images for every variant: an image that is left out is left out of all
matrices. They hold for these models. The correlation of two draws is lowered by the noise that a draw adds to both
matrices, so that the interval of a correlation is that of the draws, moved to have its middle at the value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.cores import computed
from sat_exp.similarity import Predictions, draws
from sat_exp.statistics import clustering
from sat_exp.statistics.relations import spearman
from sat_exp.statistics.resampling import multiplicities, percentile_interval

Array = NDArray[np.float64]
REPEATS = 50
"""Draws of the images whose clusters are computed."""


@dataclass(frozen=True)
class Matrices:
    """SAT of one variant. whole: [M, M]. drawn: of draws of the images, [R, M, M]."""

    whole: Array
    drawn: Array

    def values(self, between: tuple[NDArray[np.int64], NDArray[np.int64]]) -> tuple[Array, Array]:
        """SAT of the pairs of different models, [P], and of every draw, [R, P]."""
        return self.whole[between], self.drawn[:, *between]


def matrices(predictions: Predictions, resamples: int, *, compare: str, floor: float, seed: int) -> Matrices:
    """The matrices of a variant. UserError for a pair that was not measured both ways."""
    images = len(predictions.clean[predictions.names[0]])
    drawn = multiplicities(images, resamples, np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, images), np.int64), drawn])
    found = draws.weighted(predictions, weights, compare=compare, floor=floor)
    return Matrices(found[0], found[1:])


def agreement(measured: Mapping[str, Matrices], clusters: int, confidence: float, seed: int) -> pd.DataFrame:
    """The table `variant_agreement`: each variant with the first one, the reference.

    spearman: rank correlation of SAT over pairs. rand: adjusted Rand index of both matrices' spectral `clusters`; that
    of the reference is of its draws with its whole. same_nearest: the share of models with the same most similar model.
    moved: the share of pairs whose SAT differs by more than the mean difference, beyond the interval of its draws.
    """
    names = list(measured)
    reference = measured[names[0]]
    between = np.triu_indices(len(reference.whole), 1)
    ours, drawn = reference.values(between)
    partitions = clusterings(measured, clusters, seed)
    first = partitions[names[0]]
    rows = []
    for name in names:
        values, others = measured[name].values(between)
        rand = clustering.adjusted_rand(clustering.in_one_cluster(np.array([first[0], partitions[name][0]])))[0, 1]
        rands = [
            clustering.adjusted_rand(clustering.in_one_cluster(np.array(pair)))[0, 1]
            for pair in zip(first[1:] if name != names[0] else [first[0]] * REPEATS, partitions[name][1:], strict=False)
        ]
        rows.append(
            {"variant": name}
            | centred("spearman", spearman(ours, values), correlations(drawn, others), confidence)
            | {"rand": rand}
            | dict(zip(("rand_low", "rand_high"), map(float, percentile_interval(rands, confidence)), strict=True))
            | {"same_nearest": same_nearest(reference.whole, measured[name].whole)}
            | {"moved": moved(values - ours, others - drawn, confidence)}
        )
    return pd.DataFrame(rows)


def correlations(a: Array, b: Array) -> Array:
    """Spearman's correlation of each row of a with that of b, both [R, P]; [R]."""
    x, y = (rankdata(values, axis=1) for values in (a, b))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))


def centred(name: str, value: float, drawn: Array, confidence: float) -> dict[str, float]:
    """A correlation with the interval of its draws, whose median is moved to `value` in Fisher's transformation."""
    limit = np.arctanh(1 - 1e-9)
    transformed = np.arctanh(np.clip(np.append(drawn, value), np.tanh(-limit), np.tanh(limit)))
    low, high = percentile_interval(transformed[:-1] - np.nanmedian(transformed[:-1]) + transformed[-1], confidence)
    return {name: value, f"{name}_low": float(np.tanh(low)), f"{name}_high": float(np.tanh(high))}


def clusterings(measured: Mapping[str, Matrices], clusters: int, seed: int) -> dict[str, list[NDArray[np.integer]]]:
    """The clusters of each variant, of the whole matrix and of `REPEATS` draws, int [M] each."""
    jobs = []
    for each in measured.values():
        for number, matrix in enumerate([each.whole, *each.drawn[:REPEATS]]):
            restarts = clustering.RUN_RESTARTS if number else clustering.RESTARTS
            jobs.append(partial(labels, matrix, clusters, seed + number, restarts))
    found = iter(computed("clusters", jobs))
    return {name: [next(found) for _ in range(1 + len(each.drawn[:REPEATS]))] for name, each in measured.items()}


def labels(matrix: Array, clusters: int, seed: int, restarts: int) -> NDArray[np.integer]:
    """The cluster of every model, int [M]."""
    frame = pd.DataFrame(np.maximum(matrix, 1e-6))  # a model that fools nobody at ε_s is apart, not an error
    return clustering.spectral(frame, clusters, seed=seed, restarts=restarts).to_numpy()


def nearest(matrix: Array) -> NDArray[np.int64]:
    """The most similar other model of every model, int64 [M]."""
    return np.where(np.eye(len(matrix), dtype=bool), -np.inf, matrix).argmax(axis=1)


def same_nearest(a: Array, b: Array) -> float:
    """The share of models with the same most similar model in both matrices."""
    return float((nearest(a) == nearest(b)).mean())


def moved(difference: Array, drawn: Array, confidence: float) -> float:
    """The share of pairs whose difference [P], less the mean over pairs, has an interval without 0; of draws [R, P]."""
    low, high = percentile_interval(drawn - drawn.mean(axis=1, keepdims=True), confidence)
    wide = (high - low) / 2
    return float((np.abs(difference - difference.mean()) > wide + 1e-12).mean())


def among_variants(measured: Mapping[str, Matrices]) -> pd.DataFrame:
    """The table `variant_correlations`: Spearman's correlation of SAT for every two variants."""
    names = list(measured)
    between = np.triu_indices(len(measured[names[0]].whole), 1)
    values = [each.whole[between] for each in measured.values()]
    rows = [(a, b, spearman(values[i], values[j])) for i, a in enumerate(names) for j, b in enumerate(names) if i < j]
    return pd.DataFrame(rows, columns=["variant_a", "variant_b", "spearman"])


def sample_sizes(
    predictions: Predictions, repeats: int, *, compare: str, floor: float, confidence: float, seed: int
) -> pd.DataFrame:
    """The table `variant_images`: how far SAT of n images agrees with SAT of n other images, for half of all images, a
    quarter and so on: the mean over `repeats` random choices, and the interval of one choice."""
    count = len(predictions.clean[predictions.names[0]])
    rng, rows = np.random.default_rng(seed), []
    between = np.triu_indices(len(predictions.names), 1)
    size = count // 2
    while size >= 10:
        orders = np.argsort(rng.random((repeats, count)), axis=1)
        weights = np.zeros((2, repeats, count), np.int64)
        for half in range(2):
            np.put_along_axis(weights[half], orders[:, half * size : (half + 1) * size], 1, axis=1)
        sides = [draws.weighted(predictions, each, compare=compare, floor=floor)[:, *between] for each in weights]
        known = np.isfinite(sides[0]).all(axis=1) & np.isfinite(sides[1]).all(axis=1)
        if known.sum() < repeats / 2:
            break
        drawn = correlations(sides[0][known], sides[1][known])
        low, high = percentile_interval(drawn, confidence)
        rows.append((size, float(np.nanmean(drawn)), float(low), float(high)))
        size //= 2
    return pd.DataFrame(rows, columns=["images", "spearman", "spearman_low", "spearman_high"])


def moved_pairs(names: Sequence[str], measured: Mapping[str, Matrices]) -> pd.DataFrame:
    """The table `variant_pairs`: SAT of every pair under every variant, its difference from the reference less the mean
    difference of all pairs, and the standard error of that over draws of the images."""
    reference, *_ = measured
    a, b = np.triu_indices(len(names), 1)
    models = np.array(names)
    ours, drawn = measured[reference].values((a, b))
    parts = []
    for variant, each in measured.items():
        values, others = each.values((a, b))
        apart = others - drawn
        error = (apart - apart.mean(axis=1, keepdims=True)).std(axis=0, ddof=1)
        part = {"variant": variant, "model_a": models[a], "model_b": models[b], "sat": values}
        shift = values - ours
        parts.append(pd.DataFrame(part | {"moved_by": shift - shift.mean(), "error": error}))
    return pd.concat(parts, ignore_index=True)
