"""Clusters of similar models: spectral and hierarchical clustering of a matrix of SAT."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, cut_tree, leaves_list, linkage
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
    """Average linkage: models in the matrix's order; linkage as scipy's, float64 [M − 1, 4]; leaves in drawing order.

    cophenetic: the correlation of distances with the heights at which pairs are joined, NaN where either is constant.
    """

    models: list[str]
    linkage: Array
    leaves: list[str]
    cophenetic: float

    def cut(self, clusters: int) -> pd.Series:
        """The cluster of every model when the tree is cut into `clusters`, numbered as by `spectral`."""
        _check_clusters(clusters, len(self.models))
        labels = cut_tree(self.linkage, n_clusters=clusters)[:, 0]
        return _numbered(pd.Series(labels, index=self.models, name="cluster"))


def spectral(affinity: pd.DataFrame, clusters: int, *, seed: int = 0, restarts: int = RESTARTS) -> pd.Series:
    """The cluster of every model, int64 [M] indexed by name, from a symmetric matrix of similarities [M, M].

    Ng, Jordan & Weiss (NIPS 2001) with the matrix itself as affinity A: the eigenvectors of D^-1/2 A D^-1/2 for its
    `clusters` largest eigenvalues, with D the diagonal of row sums, are columns; rows are scaled to unit length;
    k-means clusters the rows. The diagonal stays as measured. A negative similarity (SAT of less than 1 % transfer)
    counts as 0, no tie.

    Clusters are numbered from 1 by size, the largest first, then by their first member in the order of the matrix.
    UserError for a missing entry, a matrix that is not symmetric, or a number of clusters outside 1 to M.
    """
    values = normalised(affinity)
    _check_clusters(clusters, len(values))
    labels = k_means(leading_vectors(values, clusters), clusters, seed, restarts)
    return _numbered(pd.Series(labels, index=affinity.index, name="cluster"))


def spectrum(affinity: pd.DataFrame) -> pd.DataFrame:
    """clusters = K from 1 to M; eigenvalue, the K-th largest of D^-1/2 A D^-1/2 (see `spectral`); eigengap, the
    difference to the next, NaN for the last.

    The first eigenvalue is always 1; a matrix of K clear groups has a large gap after the K-th.
    """
    values = eigh(normalised(affinity), eigvals_only=True)[::-1]
    gaps = np.append(values[:-1] - values[1:], np.nan)
    return pd.DataFrame({"clusters": np.arange(1, len(values) + 1), "eigenvalue": values, "eigengap": gaps})


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
    condensed = squareform(distances(sat), checks=False)
    joined = linkage(condensed, "average", optimal_ordering=True)
    heights = cophenet(joined)
    varied = np.ptp(condensed) > 0 and np.ptp(heights) > 0
    correlation = float(np.corrcoef(condensed, heights)[0, 1]) if varied else np.nan
    return Hierarchy(list(sat.index), joined, [sat.index[leaf] for leaf in leaves_list(joined)], correlation)


def normalised(affinity: pd.DataFrame) -> Array:
    """D^-1/2 A D^-1/2, [M, M], with negative entries of A set to 0."""
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
    if list(affinity.index) != list(affinity.columns):
        raise ValueError("rows and columns of an affinity are the same models in the same order")
    values = affinity.to_numpy(dtype=np.float64)
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        a, b = (affinity.index[position] for position in missing[0])
        raise UserError(f"no SAT of {a} and {b}: measure every pair, or leave one of the two out")
    if not np.allclose(values, values.T, atol=1e-6):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    return values


def _check_clusters(clusters: int, models: int) -> None:
    if not 1 <= clusters <= models:
        raise UserError(f"{clusters} clusters of {models} models: choose 1 to {models}")


def _numbered(labels: pd.Series) -> pd.Series:
    """The same clusters, numbered from 1 by size, then by first member."""
    first = {label: -position for position, label in reversed(list(enumerate(labels)))}
    sizes = labels.value_counts()
    order = sorted(first, key=lambda label: (sizes[label], first[label]), reverse=True)
    return labels.map({label: number for number, label in enumerate(order, 1)}).astype(np.int64)
