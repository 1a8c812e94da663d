"""Rank correlations, plain and partial, in many weightings of the same rows at once.

A draw of rows with replacement is a weighting: each row counts as often as it is drawn.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sat_exp.cores import in_threads

Array = NDArray[np.float64]

BLOCK = 2**18
"""The most numbers of one column, over rows and weightings, that are worked on at once."""

CONSTANT = 1e-9
"""The share of a variance below which what remains of it counts as none."""


def partial_rank_correlations(columns: Array, weights: Array) -> Array:
    """The rank correlation of the first two of `columns` [N, 2 + K] given the others, in each of `weights` [R, N]; [R].

    It is that of the two ranks after least squares on the ranks of the others. NaN where one of the two does not vary,
    where the others determine it, and where the weights sum to at most the number of columns.
    """
    found = np.concatenate([partial_correlations(part) for part in rank_covariances(columns, weights)])
    return np.where(weights.sum(axis=1) > columns.shape[1], found, np.nan)


def rank_covariances(columns: Array, weights: Array) -> Iterator[Array]:
    """The weighted covariances of the ranks of `columns` [N, K], for `weights` [R, N] in blocks: [r, K, K] each.

    Equal values have the mean of their ranks. NaN for weights that are all 0.
    """
    ties = [np.unique(column, return_inverse=True)[1] for column in columns.T]
    blocks = max(1, -(-weights.size // BLOCK))

    def covariances(part: Array) -> Array:
        ranks = np.stack([_ranks(tie, part) for tie in ties], axis=2)
        with np.errstate(invalid="ignore"):
            share = part / part.sum(axis=1, keepdims=True)
        ranks -= np.einsum("rn,rnk->rk", share, ranks)[:, None]
        return (ranks * share[:, :, None]).swapaxes(1, 2) @ ranks

    return in_threads(covariances, np.array_split(weights, min(blocks, max(1, len(weights)))))


def _ranks(ties: NDArray[np.intp], weights: Array) -> Array:
    """The rank of every row in each of `weights` [R, N]; ties: the place of its value among the distinct ones, [N]."""
    order = np.argsort(ties, kind="stable")
    last = np.flatnonzero(np.diff(ties[order], append=-1))
    up_to = np.cumsum(weights[:, order], axis=1)[:, last]
    size = np.diff(up_to, axis=1, prepend=0)
    return (up_to - size + (size + 1) / 2)[:, ties]


def partial_correlations(covariances: Array) -> Array:
    """The correlation of the first two variables given the others, [R], from covariances [R, 2 + K, 2 + K]; NaN where
    one of the two does not vary, or the others determine it."""
    known = ~np.isnan(covariances[:, 0, 0])
    covariances = np.nan_to_num(covariances)
    own, cross, others = covariances[:, :2, :2], covariances[:, :2, 2:], covariances[:, 2:, 2:]
    rest = own - cross @ np.linalg.pinv(others, rcond=CONSTANT, hermitian=True) @ cross.swapaxes(1, 2)
    left = np.diagonal(rest, axis1=1, axis2=2)
    whole = np.maximum(np.diagonal(own, axis1=1, axis2=2), CONSTANT)
    varies = known & np.all(left > CONSTANT * whole, axis=1)
    scale = np.sqrt(np.where(varies, left.prod(axis=1), 1))
    return np.where(varies, rest[:, 0, 1] / scale, np.nan)
