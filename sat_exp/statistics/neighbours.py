"""Nearest neighbours in a square matrix of similarities."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def without_diagonal(similarities: ArrayLike) -> NDArray[np.float64]:
    """A copy of a square matrix, float64 [M, M], with NaN on the diagonal."""
    values = np.array(similarities, np.float64)
    np.fill_diagonal(values, np.nan)
    return values


def nearest(similarities: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """The columns of the k largest entries of each row, the largest first, int64 [M, k].

    Equal entries are in the order of their columns. −1 stands where a row has fewer entries that are not NaN.
    """
    order = np.argsort(-np.nan_to_num(similarities, nan=-np.inf), axis=1, kind="stable")[:, :k]
    return np.where(np.isnan(np.take_along_axis(similarities, order, axis=1)), -1, order)


def are_nearest(similarities: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Whether the entry is among the k largest of its row, bool [M, M]; see `nearest`."""
    columns = np.arange(similarities.shape[1])
    return (nearest(similarities, k)[:, :, None] == columns).any(axis=1)
