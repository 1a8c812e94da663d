"""Correlations and p values, against independent computations."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr

from sat_exp.studies.distill.gains import ACCURACY, SIMILARITY, over_seeds, p_value, relations

from .synthetic import QUICK, study


def test_correlations_are_scipys_overall_and_those_of_regressions_given_the_student():
    pairs = over_seeds(study(noise=0.01))
    result = relations(pairs, **QUICK, permutations=24).set_index(["measure", "group", "given"])
    for measure in (SIMILARITY, ACCURACY):
        plain = result.loc[(measure, "all", "")]
        assert plain["spearman"] == pytest.approx(spearmanr(pairs[measure], pairs["gain"]).statistic)
        assert (plain["students"], plain["teachers"], plain["pairs"]) == (2, 6, 12)
        ranks = pd.DataFrame({name: rankdata(pairs[name]) for name in (measure, "gain")})
        within = ranks - ranks.groupby(pairs["student"]).transform("mean")
        assert result.loc[(measure, "all", "student"), "spearman"] == pytest.approx(np.corrcoef(within.T)[0, 1])
    assert result["pairs"].groupby("group").first().to_dict() == {
        "all": 12, "same base architecture": 6, "other base architecture": 6,
    }  # fmt: skip


def test_the_measure_behind_the_gain_is_found_with_the_other_accounted_for():
    pairs = over_seeds(study(teachers=8, worth=0.0))
    result = relations(pairs, **QUICK, permutations=5040).set_index(["measure", "group", "given"])
    sat = result.loc[(SIMILARITY, "all", f"student + {ACCURACY}")]
    assert sat["spearman"] > 0.9
    assert sat["p"] < 0.01
    assert abs(result.loc[(ACCURACY, "all", f"student + {SIMILARITY}"), "p"]) > 0.05


def test_p_is_the_share_of_all_orders_of_the_teachers():
    """Without anything accounted for, over students that have the same teachers: the plain correlation of ranks."""
    pairs = over_seeds(study(students=3, teachers=4, noise=0.02))
    table = pairs[[SIMILARITY, "gain"]].to_numpy()
    square = pairs.pivot(index="student", columns="teacher", values=SIMILARITY).to_numpy()
    gain = pairs.pivot(index="student", columns="teacher", values="gain").to_numpy()
    sizes = [abs(spearmanr(square[:, order].ravel(), gain.ravel()).statistic) for order in permutations(range(4))]
    expected = np.mean(np.array(sizes) >= sizes[0] - 1e-12)
    assert p_value(pairs, table, 5040, np.random.default_rng(0)) == pytest.approx(expected)


def test_p_is_uniform_where_nothing_is_related():
    result = []
    for seed in range(120):
        pairs = over_seeds(study(teachers=7, seeds=1, slope=0, worth=0, noise=1, seed=seed))
        levels = pd.get_dummies(pairs["student"]).to_numpy(float)
        table = np.column_stack([pairs[[SIMILARITY, "gain"]], levels])
        result.append(p_value(pairs, table, 100, np.random.default_rng(seed)))
    assert np.mean(np.array(result) <= 0.1) < 0.2
    assert 0.4 < np.mean(result) < 0.6
