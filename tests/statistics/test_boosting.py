"""Boosting against scikit-learn's GradientBoostingRegressor."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from sat_exp.statistics.boosting import boosted


@pytest.mark.parametrize("share", [None, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_scikit_learns(share, weighted):
    rng = np.random.default_rng(0)
    columns, new = rng.integers(0, 3, (60, 20)).astype(float), rng.integers(0, 3, (30, 20)).astype(float)
    values = columns[:, 0] * columns[:, 1] + rng.normal(size=60)
    weights = rng.integers(1, 4, 60).astype(float) if weighted else None
    other = GradientBoostingRegressor(max_features=share, random_state=3).fit(columns, values, weights)
    own = boosted(columns, values, weights, seed=3, share=share)
    assert own.predict(columns) == pytest.approx(other.predict(columns), abs=1e-10)
    assert own.predict(new) == pytest.approx(other.predict(new), abs=1e-10)


def test_one_value_is_predicted_everywhere():
    own = boosted(np.eye(4), np.full(4, 2.5), seed=0)
    assert own.predict(np.zeros((2, 4))).tolist() == [2.5, 2.5]
