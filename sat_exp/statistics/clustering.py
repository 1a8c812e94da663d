"""Clusters of similar models in a matrix of SAT, spectral and hierarchical, and the stability of their number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage
from scipy.linalg import eigh
from scipy.spatial.distance import squareform
from threadpoolctl import ThreadpoolController

from sat_exp.cores import computed
from sat_exp.deferred import deferred
from sat_exp.errors import UserError

cluster, metrics, preprocessing = (deferred(f"sklearn.{name}") for name in ("cluster", "metrics", "preprocessing"))
Array = NDArray[np.float64]

RESTARTS = 500
"""Starts of k-means: with 200, 59 of 60 seeds find the published matrix's best partition; with 500, all."""

RUN_RESTARTS = 20

EXCELLENT = 0.9
"""The adjusted Rand index from which two clusterings count as the same: "excellent" recovery in Steinley,
Psychological Methods 9 (2004)."""

MOST = 20
"""The most clusters whose stability is measured."""


@dataclass(frozen=True)
class Hierarchy:
    """Average linkage: models in the matrix's order; scipy's linkage, float64 [M − 1, 4]; leaves in drawing order."""

    models: list[str]
    linkage: Array
    leaves: list[str]

    def cut(self, clusters: int) -> pd.Series:
        """The cluster of every model when the tree is cut into `clusters`, numbered as by `spectral`."""
        return _numbered(cut_tree(self.linkage, n_clusters=clusters)[:, 0], pd.Index(self.models))


def spectral(affinity: pd.DataFrame, clusters: int, *, seed: int = 0, restarts: int = RESTARTS) -> pd.Series:
    """The cluster of every model, int64 [M] indexed by name, from a symmetric matrix of similarities [M, M].

    The method is that of Ng, Jordan & Weiss (NIPS 2001) on `normalised`, with the diagonal as measured. Clusters are
    numbered from 1 by size, the largest first, then by their first member in the order of the matrix. UserError for a
    missing entry, a matrix that is not symmetric, or a number of clusters outside 1 to M.
    """
    if not 1 <= clusters <= len(affinity):
        raise UserError(f"{clusters} clusters of {len(affinity)} models: choose 1 to {len(affinity)}")
    vectors = leading_vectors(normalised(affinity), clusters)
    return _numbered(k_means(vectors, clusters, seed, restarts), affinity.index)


def spectrum(affinity: pd.DataFrame) -> pd.DataFrame:
    """The K-th largest eigenvalue of `normalised`, and the eigengap to the next (NaN for the last), for K from 1 to M.

    A matrix of K clear groups has a large gap after the K-th eigenvalue.
    """
    values = eigh(normalised(affinity), eigvals_only=True)[::-1]
    table = pd.DataFrame({"eigenvalue": values, "eigengap": np.append(values[:-1] - values[1:], np.nan)})
    return table.set_axis(np.arange(1, len(values) + 1)).rename_axis("clusters")


def distances(sat: pd.DataFrame) -> Array:
    """log 100 − SAT of a complete symmetric matrix, float64 [M, M]; at least 0, and 0 on the diagonal."""
    apart = np.maximum(np.log(100) - _complete(sat), 0)
    np.fill_diagonal(apart, 0)
    return (apart + apart.T) / 2


def hierarchy(sat: pd.DataFrame) -> Hierarchy:
    """Average linkage of log 100 − SAT; UserError for fewer than two models or a missing pair."""
    if len(sat) < 2:
        raise UserError(f"{len(sat)} model has no tree: give at least two")
    joined = linkage(squareform(distances(sat), checks=False), "average", optimal_ordering=True)
    return Hierarchy(list(sat.index), joined, list(sat.index[leaves_list(joined)]))


def normalised(affinity: pd.DataFrame) -> Array:
    """D^-1/2 A D^-1/2 of an affinity A, [M, M], with D the diagonal of row sums.

    Negative entries, SAT of less than 1% transfer, count as 0.
    """
    values = _complete(affinity).clip(min=0)
    degree = values.sum(axis=1)
    if (degree == 0).any():
        raise UserError(f"{affinity.index[degree == 0][0]} is similar to no model, not even itself: leave it out")
    return values / np.sqrt(np.outer(degree, degree))


def leading_vectors(values: Array, count: int) -> Array:
    """The eigenvectors of the `count` largest eigenvalues as columns [M, count], the largest last."""
    return eigh(values, subset_by_index=(len(values) - count, len(values) - 1))[1]


def k_means(vectors: Array, clusters: int, seed: int, restarts: int) -> NDArray[np.int32]:
    """The label of each row [M, K], scaled to unit length, from the best of `restarts` starts of k-means.

    It runs on one thread: for so few rows, the start of others takes longer than the work.
    """
    with _threads().limit(limits=1, user_api="openmp"):
        found = cluster.KMeans(clusters, n_init=restarts, random_state=seed)
        return found.fit_predict(preprocessing.normalize(vectors))


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _complete(affinity: pd.DataFrame) -> Array:
    """The entries; UserError where one is missing or the matrix is not symmetric."""
    values = affinity.to_numpy(dtype=np.float64)
    for row, column in np.argwhere(np.isnan(values)):
        a, b = affinity.index[row], affinity.index[column]
        raise UserError(f"no SAT of {a} and {b}: measure every pair, or leave one of the two out")
    if not np.allclose(values, values.T, atol=1e-6):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    return values


def _numbered(labels: NDArray[np.integer], models: pd.Index) -> pd.Series:
    """The clusters of models, numbered from 1 by size, then by first member."""
    by_size = Counter(labels.tolist()).most_common()  # equal sizes stay in the order of first members
    numbers = {label: number for number, (label, _) in enumerate(by_size, 1)}
    return pd.Series(labels, models, name="cluster").map(numbers).astype(np.int64)


@dataclass(frozen=True)
class Stability:
    """Agreement of the clusterings of several draws of a matrix, by their number of clusters K.

    by_clusters: the table `cluster_stability`, in adjusted Rand indices: between_runs, the mean over every two runs;
    with_whole and with_whole_low, the mean and the 5th percentile over runs, with the clustering of the whole matrix;
    with_tree, of the latter with the tree's. clusters: that of the whole matrix by K. consensus: by K the share of runs
    that put two models into one cluster, [M, M] (Monti et al., Machine Learning 52, 2003). recommended: the largest K
    whose between_runs is `EXCELLENT`, else the K where it is highest; reason: why.
    """

    by_clusters: pd.DataFrame
    clusters: dict[int, pd.Series]
    consensus: dict[int, pd.DataFrame]
    recommended: int
    reason: str


def stability(
    affinity: pd.DataFrame,
    draws: Sequence[pd.DataFrame],
    *,
    changed: str,
    most: int | None = None,
    seed: int = 0,
) -> Stability:
    """The stability of `spectral` for 2 to `most` clusters, by default the smaller of `MOST` and half the models.

    draws: a matrix per run, of the same models in any order (see `similarity.draws`). An entry missing there is that of
    the whole matrix. changed: what differs between runs, in words. UserError for fewer than two runs.
    """
    most = min(MOST, len(affinity) // 2) if most is None else most
    spectra, tree = spectrum(affinity), hierarchy(affinity)
    drawn = (draw.loc[affinity.index, affinity.index] for draw in draws)
    vectors = [leading_vectors(normalised(draw.where(draw.notna(), affinity)), most) for draw in drawn]
    if len(vectors) < 2:
        raise UserError(f"{len(vectors)} run cannot be compared with others: give at least two")
    labels = iter(_partitions(affinity, vectors, most, seed))
    rows, whole, consensus = [], {}, {}
    for clusters in range(2, most + 1):
        whole[clusters] = _numbered(next(labels), affinity.index)
        runs = [next(labels) for _ in vectors]
        together = in_one_cluster(np.array([whole[clusters], *runs]))
        rand = adjusted_rand(together)
        between, with_whole = rand[1:, 1:][np.triu_indices(len(runs), 1)], rand[0, 1:]
        with_tree = metrics.adjusted_rand_score(whole[clusters], tree.cut(clusters))
        low = np.quantile(with_whole, 0.05)
        rows.append((clusters, *spectra.loc[clusters], between.mean(), with_whole.mean(), low, with_tree))
        consensus[clusters] = pd.DataFrame(together[1:].mean(axis=0), affinity.index, affinity.index)
    columns = ["clusters", "eigenvalue", "eigengap", "between_runs", "with_whole", "with_whole_low", "with_tree"]
    table = pd.DataFrame(rows, columns=columns)
    return Stability(table, whole, consensus, *_recommend(table, changed))


def _partitions(affinity: pd.DataFrame, vectors: Sequence[Array], most: int, seed: int) -> list[NDArray[np.integer]]:
    """For 2 to `most` clusters the labels [M] of the whole matrix, as in `spectral`, then those of every run.

    vectors: the leading vectors of each run, [M, most].
    """
    jobs = []
    for clusters in range(2, most + 1):
        jobs.append(partial(k_means, leading_vectors(normalised(affinity), clusters), clusters, seed, RESTARTS))
        for run, part in enumerate(vectors, 1):
            jobs.append(partial(k_means, part[:, -clusters:], clusters, seed + run, RUN_RESTARTS))
    return computed("clusters", jobs)


def in_one_cluster(partitions: NDArray[np.integer]) -> Array:
    """1 where a partition has two items in one cluster, else 0; float64 [R, M, M] from int [R, M]."""
    return (partitions[:, :, None] == partitions[:, None, :]).astype(np.float64)


def adjusted_rand(together: Array) -> Array:
    """The adjusted Rand index of every two of R partitions, [R, R], from `in_one_cluster`; 1 for equal trivial ones.

    Source: Hubert & Arabie, Journal of Classification 2 (1985).
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
