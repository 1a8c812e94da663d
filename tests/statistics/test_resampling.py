"""Intervals and p values against numpy's and scipy's, and their edge cases."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from sat_exp.statistics.resampling import percentile_interval, permutation_p


def test_an_interval_is_numpys_without_missing_values():
    drawn = np.random.default_rng(0).normal(size=(200, 3))
    drawn[5:20, 1] = np.nan
    drawn[:, 2] = np.nan
    low, high = percentile_interval(drawn, 0.9)
    expected = np.nanquantile(drawn[:, :2], [0.05, 0.95], axis=0)
    assert [low[:2], high[:2]] == pytest.approx(expected, abs=1e-12)
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("drawn", "shape"), [([], ()), ([np.nan], ()), (np.empty((0, 2)), (2,))])
def test_an_interval_of_nothing_is_missing(drawn, shape):
    ends = percentile_interval(drawn)
    assert np.shape(ends[0]) == shape
    assert np.isnan(ends).all()


def test_p_is_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.5, 1, 6), rng.normal(size=5)
    parts = (x, y), lambda a, b: a.mean() - b.mean()
    every = permutation_test(*parts, alternative="greater", n_resamples=np.inf)
    assert permutation_p(every.statistic, every.null_distribution, exact=True) == pytest.approx(every.pvalue)
    some = permutation_test(*parts, alternative="greater", n_resamples=99, rng=2)
    assert permutation_p(some.statistic, some.null_distribution) == pytest.approx(some.pvalue)


def test_values_that_differ_by_rounding_are_equal():
    assert permutation_p(0.1 + 0.2, [0.3, 0.2, 0.4]) == 3 / 4
    assert permutation_p(-1.0, [-1 - 1e-12, -2]) == 2 / 3
    assert permutation_p(0.0, [-1e-15, -1e-3]) == 2 / 3


def test_p_of_a_missing_value_is_missing():
    assert np.isnan(permutation_p(np.nan, [1, 2]))
    assert permutation_p(1.0, []) == 1
