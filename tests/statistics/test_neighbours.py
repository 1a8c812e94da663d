"""Nearest neighbours: examples by hand, with ties and missing entries, and scikit-learn's neighbours."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from sat_exp.statistics.neighbours import are_nearest, nearest, without_diagonal

SIMILAR = np.array([[np.nan, 2, 2, 1], [2, np.nan, np.nan, np.nan], [2, np.nan, np.nan, 3], [1, np.nan, 3, np.nan]])


def test_of_equal_entries_the_first_is_nearest_and_missing_ones_never():
    assert nearest(SIMILAR, 2).tolist() == [[1, 2], [0, -1], [3, 0], [2, 0]]
    expected = [[False, True, True, False], [True, False, False, False], [True, False, False, True]]
    assert are_nearest(SIMILAR, 2)[:3].tolist() == expected


def test_neighbours_are_those_of_scikit_learn():
    points = np.random.default_rng(0).normal(size=(20, 3))
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    expected = NearestNeighbors(n_neighbors=4).fit(points).kneighbors(return_distance=False)
    np.testing.assert_array_equal(nearest(without_diagonal(-apart), 4), expected)


def test_the_diagonal_is_taken_off_a_copy():
    values = np.ones((2, 2))
    assert np.isnan(np.diag(without_diagonal(values))).all()
    assert np.isfinite(values).all()
