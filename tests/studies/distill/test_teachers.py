"""Models of the gain, which must not use the gain that they predict."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sat_exp.errors import UserError
from sat_exp.studies.distill.gains import ACCURACY, SIMILARITY, over_seeds
from sat_exp.studies.distill.rankers import (
    agreement,
    fitted,
    gain_of_others,
    out_of_sample,
    ranked,
    rankings,
    with_gain,
    with_gain_of_others,
)

from .synthetic import study


def test_a_gain_model_finds_the_weights_and_ranks_by_them():
    pairs = over_seeds(study(slope=-0.02, worth=0.3))
    weights = fitted(pairs)
    assert weights == pytest.approx([-0.02, 0.3])
    ranking = ranked(weights, pairs)
    best = pairs.loc[pairs.groupby("student")["gain"].idxmax(), ["student", "teacher"]]
    assert ranking.loc[ranking["rank"] == 1, ["student", "teacher"]].to_numpy().tolist() == best.to_numpy().tolist()
    assert ranking.groupby("student")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5, 6]] * 2
    with pytest.raises(UserError, match="too few to rank teachers by"):
        fitted(pairs.groupby("student").head(1))


@pytest.mark.parametrize("key", ["student", "teacher"])
def test_an_expected_gain_does_not_depend_on_the_gain_it_predicts(key):
    pairs = over_seeds(study(students=3, noise=0.02))
    gain = pairs["gain"].to_numpy()
    score = out_of_sample(pairs, [SIMILARITY, ACCURACY], key)
    scores = score(gain)
    for one in pairs[key].unique():
        away = (pairs[key] == one).to_numpy()
        again = score(np.where(away, -gain, gain))
        np.testing.assert_allclose(again[away], scores[away])
        assert not np.allclose(again[~away], scores[~away])


def test_what_a_teacher_gave_others_is_the_mean_above_their_own():
    pairs = pd.DataFrame(
        [("a", "t", 0.1), ("a", "u", 0.3), ("b", "t", 0.6), ("b", "u", 0.5), ("c", "t", 0.0)],
        columns=["student", "teacher", "gain"],
    )
    scores = gain_of_others(pairs)(pairs["gain"].to_numpy())
    assert scores == pytest.approx([(0.05 + 0) / 2, -0.05, (-0.1 + 0) / 2, 0.1, (-0.1 + 0.05) / 2])


def test_a_ranking_and_the_gains_that_followed():
    pairs = over_seeds(study(students=1, noise=0.02))
    ranking = ranked(np.array([0.01, 0.2]), pairs)
    result = with_gain(ranking, pairs.drop(index=2))
    assert result["gain"].isna().sum() == 1
    known = result.dropna(subset="gain")
    expected = spearmanr(known["rank"], -known["gain"])
    (row,) = agreement(result).itertuples()
    assert (row.teachers, row.spearman, row.p) == (5, pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert agreement(with_gain(ranking, None)).empty
    two = over_seeds(study(students=2, slope=0))
    gave = with_gain_of_others(ranking.assign(student="s9"), two).set_index("teacher")["gave_others"]
    above = two["gain"] - two.groupby("student")["gain"].transform("mean")
    assert gave.to_dict() == pytest.approx(above.groupby(two["teacher"]).mean().to_dict())
    assert with_gain_of_others(ranking.assign(student="s0"), two[two["student"] == "s0"])["gave_others"].isna().all()


def test_rankings_of_an_exact_model_are_those_of_the_gain():
    result = rankings(over_seeds(study()))
    assert (result["rank"] == result["gain_rank"]).all()
    alone = rankings(over_seeds(study(students=1, teachers=8)))
    assert (alone["rank"] == alone["gain_rank"]).all()
