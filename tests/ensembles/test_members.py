"""The members of ensembles: their order, samples of ensembles, and their table."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from sat_exp.ensembles.members import members_of, properties_of, ranks, tabulate

from .synthetic import every


def test_ensembles_are_numbered_in_lexicographic_order():
    for models, size in ((5, 2), (9, 4), (7, 7), (69, 2)):
        assert every(models, size).tolist() == [list(row) for row in combinations(range(models), size)]
    last = members_of(69, 5, np.array([comb(69, 5) - 1]))
    assert last.tolist() == [[64, 65, 66, 67, 68]]


def test_samples_are_seeded_and_without_repetition():
    one, same, other = (ranks(69, 5, 1000, seed=seed) for seed in (0, 0, 1))
    assert (one == same).all()
    assert not np.array_equal(one, other)
    assert len(np.unique(one)) == 1000
    assert (np.diff(one) > 0).all()
    assert len(ranks(6, 3, 20)) == 20


def test_the_table_of_one_ensemble():
    right = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 1]], bool)
    sat = np.array([[4.6, 2.0, 3.0], [2.0, 4.6, 4.0], [3.0, 4.0, 4.6]])
    properties = properties_of(1 - right.mean(axis=1), {"sat": sat}, np.array([1, 2, 1]))
    result = tabulate(np.array([[0, 1, 2]]), np.array([[1, 0]]), right, properties)
    row = result.table.iloc[0]
    assert row.error == 0.25
    assert row.members_error == pytest.approx((0.25 + 0.75 + 0.25) / 3)
    assert row.reduction == pytest.approx(1 - 0.25 / (1.25 / 3))
    assert (row.accuracy_gap, row.clusters, row.all_wrong) == (0.5, 2, 0)
    assert row.sat == pytest.approx(3.0)
    assert result.whole
    properties = properties_of(np.zeros(3), {"sat": sat}, np.arange(3))
    perfect = tabulate(np.array([[0, 1]]), np.array([[0, 0]]), np.ones((3, 4), bool), properties)
    assert np.isnan(perfect.table.reduction.item())
    assert not perfect.whole
