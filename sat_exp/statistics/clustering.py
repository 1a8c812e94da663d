"""Clusters of similar models: spectral and hierarchical clustering of a matrix of SAT."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage
from scipy.linalg import eigh
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from sat_exp.errors import UserError

Array = NDArray[np.float64]

RESTARTS = 500
"""Starts of k-means: with 200, 59 of 60 seeds find the published matrix's best partition; with 500, all."""


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

    Ng, Jordan & Weiss (NIPS 2001) with the matrix itself as affinity A and D the diagonal of its row sums. The columns
    are the eigenvectors of D^-1/2 A D^-1/2 for its `clusters` largest eigenvalues. Rows are scaled to unit length and
    clustered by k-means. The diagonal stays as measured. A negative similarity (SAT of less than 1 % transfer) counts
    as 0.

    Clusters are numbered from 1 by size, the largest first, then by their first member in the order of the matrix.
    UserError for a missing entry, a matrix that is not symmetric, or a number of clusters outside 1 to M.
    """
    if not 1 <= clusters <= len(affinity):
        raise UserError(f"{clusters} clusters of {len(affinity)} models: choose 1 to {len(affinity)}")
    vectors = leading_vectors(normalised(affinity), clusters)
    return _numbered(k_means(vectors, clusters, seed, restarts), affinity.index)


def spectrum(affinity: pd.DataFrame) -> pd.DataFrame:
    """By the number of clusters K from 1 to M: eigenvalue, the K-th largest of D^-1/2 A D^-1/2 (see `spectral`), and
    eigengap, the difference to the next, NaN for the last.

    The first eigenvalue is always 1; a matrix of K clear groups has a large gap after the K-th.
    """
    values = eigh(normalised(affinity), eigvals_only=True)[::-1]
    table = pd.DataFrame({"eigenvalue": values, "eigengap": np.append(values[:-1] - values[1:], np.nan)})
    return table.set_axis(np.arange(1, len(values) + 1)).rename_axis("clusters")


def distances(sat: pd.DataFrame) -> Array:
    """log 100 − SAT of a complete symmetric matrix, float64 [M, M]: 0 for pairs that always transfer, and on the
    diagonal."""
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
    """D^-1/2 A D^-1/2, [M, M], with negative entries of A set to 0; D is the diagonal of row sums."""
    values = _complete(affinity).clip(min=0)
    degree = values.sum(axis=1)
    if (degree == 0).any():
        raise UserError(f"{affinity.index[degree == 0][0]} is similar to no model, not even itself: leave it out")
    return values / np.sqrt(np.outer(degree, degree))


def leading_vectors(values: Array, count: int) -> Array:
    """The eigenvectors of the `count` largest eigenvalues as columns [M, count], the largest last."""
    return eigh(values, subset_by_index=(len(values) - count, len(values) - 1))[1]


def k_means(vectors: Array, clusters: int, seed: int, restarts: int) -> NDArray[np.int32]:
    """The label of each row [M, K], scaled to unit length, from the best of `restarts` starts of k-means."""
    return KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(normalize(vectors))


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
