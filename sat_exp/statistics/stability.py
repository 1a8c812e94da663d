"""Stability of clusters, and with it their number: clusterings of other draws of a matrix are compared."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import hierarchy, k_means, leading_vectors, normalised, spectral, spectrum

Array = NDArray[np.float64]

EXCELLENT = 0.9
"""The adjusted Rand index from which two clusterings count as the same: "excellent" recovery in Steinley,
Psychological Methods 9 (2004)."""

MOST, RESTARTS = 20, 20
"""The most clusters, and the starts of k-means in each run."""


@dataclass(frozen=True)
class Stability:
    """Agreement of clusterings into K clusters of different draws of a matrix.

    by_clusters, one row per K: clusters = K; eigenvalue and eigengap, see `spectrum`; between_runs, the mean adjusted
    Rand index of two runs; with_whole, the mean of each run with the clustering of the whole matrix; with_whole_low,
    its 5th percentile; with_tree, the index of the whole's clustering and the tree's.

    clusters: for each K the clustering of the whole matrix, int64 [M] by name.

    consensus: for each K the share of runs that put two models into one cluster, float64 [M, M] (Monti et al., Machine
    Learning 52, 2003).

    recommended: the largest K whose between_runs is at least 0.9, else the K where it is highest; reason: why.
    """

    by_clusters: pd.DataFrame
    clusters: dict[int, pd.Series]
    consensus: dict[int, pd.DataFrame]
    recommended: int
    reason: str


def stability(
    affinity: pd.DataFrame, draws: Iterable[pd.DataFrame], *, changed: str, most: int | None = None, seed: int = 0
) -> Stability:
    """The stability of `spectral` for K from 2 to `most`, by default the smaller of 20 and half the models.

    draws: one matrix per run, [M, M], of the same models in any order (see `similarity.draws`); a missing entry is
    taken from the whole matrix. changed: what differs between runs, for the reason. UserError for fewer than two runs.
    """
    most = min(MOST, len(affinity) // 2) if most is None else most
    spectra, tree = spectrum(affinity), hierarchy(affinity)
    drawn = (draw.loc[affinity.index, affinity.index] for draw in draws)
    vectors = [leading_vectors(normalised(draw.where(draw.notna(), affinity)), most) for draw in drawn]
    if len(vectors) < 2:
        raise UserError(f"{len(vectors)} run cannot be compared with others: give at least two")
    rows, whole, consensus = [], {}, {}
    for clusters in range(2, most + 1):
        whole[clusters] = spectral(affinity, clusters, seed=seed)
        runs = [k_means(part[:, -clusters:], clusters, seed + run, RESTARTS) for run, part in enumerate(vectors, 1)]
        together = in_one_cluster(np.array([whole[clusters], *runs]))
        rand = adjusted_rand(together)
        between, with_whole = rand[1:, 1:][np.triu_indices(len(runs), 1)], rand[0, 1:]
        with_tree = adjusted_rand_score(whole[clusters], tree.cut(clusters))
        low = np.quantile(with_whole, 0.05)
        rows.append((clusters, *spectra.loc[clusters], between.mean(), with_whole.mean(), low, with_tree))
        consensus[clusters] = pd.DataFrame(together[1:].mean(axis=0), affinity.index, affinity.index)
    columns = ["clusters", "eigenvalue", "eigengap", "between_runs", "with_whole", "with_whole_low", "with_tree"]
    table = pd.DataFrame(rows, columns=columns)
    return Stability(table, whole, consensus, *_recommend(table, changed))


def in_one_cluster(partitions: NDArray[np.integer]) -> Array:
    """1 where a partition, int [R, M], has two items in one cluster, else 0; float64 [R, M, M]."""
    return (partitions[:, :, None] == partitions[:, None, :]).astype(np.float64)


def adjusted_rand(together: Array) -> Array:
    """The adjusted Rand index of every two of R partitions, float64 [R, R], from `in_one_cluster`.

    1 where both are trivial in the same way. Source: Hubert & Arabie, Journal of Classification 2 (1985).
    """
    items = together.shape[1]
    flat = together.reshape(len(together), -1)
    both = (flat @ flat.T - items) / 2
    own = both.diagonal()
    chance = np.outer(own, own) / (items * (items - 1) / 2)
    most = np.add.outer(own, own) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isclose(most, chance), 1.0, (both - chance) / (most - chance))


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
