"""Stability of clusters, and with it their number: clusterings of other draws of a matrix are compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import hierarchy, k_means, leading_vectors, normalised, spectral, spectrum

Array = NDArray[np.float64]
Space = tuple[NDArray[np.int64], Array]
"""The positions of a run's models in the whole matrix, [M'], and their leading eigenvectors, [M', K]."""

EXCELLENT = 0.9
"""The adjusted Rand index from which two clusterings count as the same: "excellent" recovery in Steinley,
Psychological Methods 9 (2004)."""

MOST = 20


@dataclass(frozen=True)
class Stability:
    """Agreement of clusterings into K clusters of different draws of a matrix.

    by_clusters, one row per K: clusters = K; eigenvalue and eigengap, see `spectrum`; between_runs, the mean adjusted
    Rand index of two runs over their common models; with_whole, the mean of each run with the clustering of the whole
    matrix; with_whole_low, its 5th percentile; with_tree, the index of the whole's clustering and the tree's.

    consensus: for each K the share of runs that put two models into one cluster, float64 [M, M], among the runs that
    have both (Monti et al., Machine Learning 52, 2003); NaN where no run has both.

    recommended: the largest K whose between_runs is at least 0.9, else the K where it is highest; reason: why.
    """

    by_clusters: pd.DataFrame
    consensus: dict[int, pd.DataFrame]
    runs: int
    recommended: int
    reason: str


def stability(
    affinity: pd.DataFrame,
    draws: Iterable[pd.DataFrame],
    *,
    changed: str = "resamples",
    most: int | None = None,
    restarts: int = 20,
    seed: int = 0,
) -> Stability:
    """The stability of `spectral` for K from 2 to `most`, by default the smaller of 20 and half the models.

    draws: one matrix per run, [M', M'], of all or some of the models in any order (see `similarity.draws`); a missing
    entry is taken from the whole matrix. changed: what differs between runs, for the reason. restarts: starts of
    k-means in each run.

    UserError for too few models, too few runs, or a run of fewer than `most` models.
    """
    most = min(MOST, len(affinity) // 2) if most is None else most
    if most < 2 or most >= len(affinity):
        raise UserError(f"no number of clusters to choose from 2 to {most} of {len(affinity)} models: give more models")
    spectra = spectrum(affinity).set_index("clusters")
    tree = hierarchy(affinity)
    spaces = [_space(affinity, draw, most) for draw in draws]
    if len(spaces) < 2:
        raise UserError(f"{len(spaces)} run cannot be compared with others: give at least two")
    rows, consensus = [], {}
    for clusters in range(2, most + 1):
        whole = spectral(affinity, clusters, seed=seed)
        partitions = _partitions(whole, spaces, clusters, seed, restarts)
        rand = adjusted_rand(partitions)
        between, with_whole = rand[1:, 1:][np.triu_indices(len(spaces), 1)], rand[0, 1:]
        with_tree = adjusted_rand_score(whole, tree.cut(clusters))
        low = np.quantile(with_whole, 0.05)
        rows.append((clusters, *spectra.loc[clusters], np.nanmean(between), with_whole.mean(), low, with_tree))
        consensus[clusters] = pd.DataFrame(_consensus(partitions[1:]), index=affinity.index, columns=affinity.index)
    columns = ["clusters", "eigenvalue", "eigengap", "between_runs", "with_whole", "with_whole_low", "with_tree"]
    table = pd.DataFrame(rows, columns=columns)
    return Stability(table, consensus, len(spaces), *_recommend(table, changed))


def adjusted_rand(partitions: NDArray[np.integer]) -> Array:
    """The adjusted Rand index of every two of R partitions, float64 [R, R], over the items that both have.

    partitions: the cluster of every item, int [R, M], −1 where the partition lacks it. 1 where both are trivial in the
    same way, NaN for fewer than two common items. Source: Hubert & Arabie, Journal of Classification 2 (1985).
    """
    joined, present = (part.reshape(len(partitions), -1).astype(np.float64) for part in _joined(partitions))
    has = (partitions >= 0).astype(np.float64)
    items = has @ has.T
    pairs = items * (items - 1) / 2
    both = (joined @ joined.T - items) / 2
    first = (joined @ present.T - items) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = first * first.T / pairs
        most = (first + first.T) / 2
        index = np.where(np.isclose(most, chance), 1.0, (both - chance) / (most - chance))
    return np.where(items < 2, np.nan, index)


def _space(whole: pd.DataFrame, draw: pd.DataFrame, most: int) -> Space:
    """The models of a run and their `most` leading eigenvectors."""
    if len(draw) < most:
        raise UserError(f"a run has {len(draw)} models: choose at most {len(draw)} clusters, not {most}")
    complete = draw.where(draw.notna(), whole.loc[draw.index, draw.index])
    return whole.index.get_indexer(draw.index), leading_vectors(normalised(complete), most)


def _partitions(
    whole: pd.Series, spaces: Sequence[Space], clusters: int, seed: int, restarts: int
) -> NDArray[np.int64]:
    """The clustering of the whole matrix, then that of each run, int [1 + R, M], −1 for a model that a run lacks."""
    partitions = np.full((1 + len(spaces), len(whole)), -1)
    partitions[0] = whole
    for run, (members, vectors) in enumerate(spaces, 1):
        partitions[run, members] = k_means(vectors[:, -clusters:], clusters, seed + run, restarts)
    return partitions


def _joined(partitions: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a partition puts two items into one cluster, and whether it has both; bool [R, M, M] each."""
    has = partitions >= 0
    present = has[:, :, None] & has[:, None, :]
    return present & (partitions[:, :, None] == partitions[:, None, :]), present


def _consensus(partitions: NDArray[np.integer]) -> Array:
    """The share of partitions with two items in one cluster, [M, M], among those that have both; NaN without any."""
    joined, present = _joined(partitions)
    with np.errstate(invalid="ignore"):
        return joined.sum(axis=0) / present.sum(axis=0)


def _recommend(table: pd.DataFrame, changed: str) -> tuple[int, str]:
    """The recommended K, and the reason in words."""
    by = table.set_index("clusters")
    same = by.index[by["between_runs"] >= EXCELLENT]
    best = int(same.max() if len(same) else by["between_runs"].idxmax())
    value, gap, widest = by.loc[best, "between_runs"], by.loc[best, "eigengap"], int(by["eigengap"].idxmax())
    agree = f"two clusterings from other {changed} agree (adjusted Rand index)"
    found = (
        f"K = {best} is the largest at which {agree} in at least {EXCELLENT}: {value:.2f}"
        if len(same)
        else f"no K reaches {EXCELLENT} where {agree}; it is highest at K = {best}: {value:.2f}"
    )
    return best, f"{found}; the eigengap after it is {gap:.4f}, the widest is {by['eigengap'].max():.4f} after {widest}"
