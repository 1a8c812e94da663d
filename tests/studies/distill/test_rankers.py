"""Rankings evaluated by the gain: an exact one, a random one and a useless one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sat_exp.studies.distill.gains import ACCURACY, changes, over_seeds, relations
from sat_exp.studies.distill.rankers import AS_IT_IS, OTHER_SEEDS, OTHER_STUDENTS, RANDOM, evaluated, rankings

from .synthetic import FEW, QUICK, study


def test_exact_rankings_agree_and_random_ones_do_not():
    result = evaluated(study(students=3), **FEW).set_index(["ranker", "left_out"])
    for key in ("student", "teacher"):
        assert result.loc[("SAT and accuracy", key), "spearman"] == pytest.approx(1)
        assert result.loc[("SAT and accuracy", key), "regret"] == pytest.approx(0)
        assert result.loc[("SAT", key), "spearman"] < 1
    assert result.loc[(OTHER_SEEDS, ""), "spearman"] == pytest.approx(1)
    assert result.loc[("SAT and accuracy", "student"), "p"] == 1 / 40
    random = result.loc[(RANDOM, "")]
    assert random["low"] < 0 < random["high"]
    pairs = over_seeds(study(students=3))
    best, mean = (pairs.groupby("student")["gain"].agg(how) for how in ("max", "mean"))
    assert random["regret"] == pytest.approx((best - mean).mean())


def test_accuracy_as_it_is_is_the_mean_of_scipys_correlations():
    table = study(students=3, noise=0.02)
    pairs = over_seeds(table)
    expected = [spearmanr(part[ACCURACY], part["gain"]).statistic for _, part in pairs.groupby("student")]
    result = evaluated(table, **FEW).set_index("ranker").loc[AS_IT_IS]
    assert result["spearman"] == pytest.approx(np.mean(expected))
    assert (result["students"], result["teachers"]) == (3, 6)


def test_p_is_uniform_for_rankers_of_gains_that_students_share():
    """Gains that owe nothing to what is known before, the same for all students: p is that of any order."""
    ps = []
    for seed in range(30):
        table = study(students=3, teachers=7, seeds=1, slope=0, worth=0, seed=seed)
        gain = np.random.default_rng(seed).normal(size=7)
        result = evaluated(table.assign(gain=gain[table["teacher"].str[1:].astype(int)]), **FEW)
        ps.append(result.set_index(["ranker", "left_out"])["p"])
    shares = pd.concat(ps, axis=1)
    for ranker in (("SAT and accuracy", "student"), ("SAT", "teacher"), (AS_IT_IS, "")):
        assert 0.3 < shares.loc[ranker].mean() < 0.7
        assert (shares.loc[ranker] <= 0.1).mean() < 0.3
    assert (shares.loc[(OTHER_STUDENTS, "student")] < 0.06).all()


def test_other_seeds_predict_one_seed_at_a_time():
    table = study(students=1, teachers=5, noise=0.02)
    gain = table.pivot(index="teacher", columns="seed", values="gain")
    expected = spearmanr(gain[0], gain[1]).statistic
    result = evaluated(table, **FEW).set_index("ranker").loc[OTHER_SEEDS]
    assert result["spearman"] == pytest.approx(expected)


def test_a_study_too_small_for_anything_says_so_in_its_numbers():
    table = study(students=1, teachers=1, seeds=1)
    pairs = over_seeds(table)
    assert relations(pairs, **QUICK)[["spearman", "p"]].isna().all(axis=None)
    assert changes(pairs, **QUICK).query("group == 'all'")["mean"].notna().all()
    assert evaluated(table, **FEW)["spearman"].fillna(0).eq(0).all()
    assert rankings(pairs)["rank"].isna().all()
