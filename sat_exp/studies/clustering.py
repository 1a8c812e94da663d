"""Groups of similar models: spectral clustering of a SAT matrix."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from sat_exp.errors import UserError

RESTARTS = 500
"""Starts of k-means: with 200, 59 of 60 seeds find the published matrix's best partition; with 500, all."""


def spectral(affinity: pd.DataFrame, clusters: int, *, seed: int = 0, restarts: int = RESTARTS) -> pd.Series:
    """The cluster of every model, int64 [M] indexed by name, from a symmetric matrix of similarities [M, M].

    Ng, Jordan & Weiss (NIPS 2001) with the matrix itself as affinity A: the eigenvectors of D^-1/2 A D^-1/2 that
    belong to its `clusters` largest eigenvalues, D the diagonal of row sums, as columns; rows scaled to unit length;
    k-means on the rows. The diagonal stays as measured. A negative similarity (SAT of less than 1 % transfer) counts
    as 0, no tie.

    Clusters are numbered from 1 by size, the largest first, then by their first member in the order of the matrix.
    UserError for a missing entry, a matrix that is not symmetric, or a number of clusters outside 1 to M.
    """
    values = _affinity(affinity)
    if not 1 <= clusters <= len(values):
        raise UserError(f"{clusters} clusters of {len(values)} models: choose 1 to {len(values)}")
    degree = values.sum(axis=1)
    if (degree == 0).any():
        raise UserError(f"{affinity.index[degree == 0][0]} is similar to no model, not even itself: leave it out")
    scaled = values / np.sqrt(np.outer(degree, degree))
    _, vectors = eigh(scaled, subset_by_index=(len(values) - clusters, len(values) - 1))
    found = KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(normalize(vectors))
    return _numbered(pd.Series(found, index=affinity.index, name="cluster"))


def _affinity(affinity: pd.DataFrame) -> NDArray[np.float64]:
    """The entries, checked; negative ones set to 0."""
    if list(affinity.index) != list(affinity.columns):
        raise ValueError("rows and columns of an affinity are the same models in the same order")
    values = affinity.to_numpy(dtype=np.float64)
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        a, b = (affinity.index[position] for position in missing[0])
        raise UserError(f"no SAT of {a} and {b}: models can be clustered only where every pair is measured")
    if not np.allclose(values, values.T, atol=1e-6):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    return values.clip(min=0)


def _numbered(found: pd.Series) -> pd.Series:
    """The same clusters, numbered from 1 by size, then by first member."""
    first = {label: -position for position, label in reversed(list(enumerate(found)))}
    sizes = found.value_counts()
    order = sorted(first, key=lambda label: (sizes[label], first[label]), reverse=True)
    return found.map({label: number for number, label in enumerate(order, 1)}).astype(np.int64)
