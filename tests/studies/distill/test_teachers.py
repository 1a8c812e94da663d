"""Gain and similarity: tables by hand, correlations and p values by other routes, rankings that do not use the gain."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr

from sat_exp.errors import UserError
from sat_exp.studies.distill.gains import ACCURACY, SIMILARITY, changes, gains, interval, known_before, over_seeds
from sat_exp.studies.distill.rankers import AS_IT_IS, OTHER_SEEDS, OTHER_STUDENTS, RANDOM, evaluated
from sat_exp.studies.distill.relations import p_value, relations
from sat_exp.studies.distill.teachers import (
    GainModel,
    agreement,
    gain_of_others,
    out_of_sample,
    rankings,
    with_gain,
    with_gain_of_others,
)

QUICK = {"resamples": 40}
FEW = QUICK | {"permutations": 39}


def study(students=2, teachers=6, seeds=2, *, slope=0.01, worth=0.2, noise=0.0, seed=0):
    """Gains that are `slope` · SAT + `worth` · the teacher's accuracy + noise + a level of the student's own."""
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0.8, 0.95, teachers)
    rows = []
    for student in range(students):
        sat = rng.uniform(2, 4, teachers)
        for teacher, one in product(range(teachers), range(seeds)):
            gain = slope * sat[teacher] + worth * accuracy[teacher] + 0.05 * student + noise * rng.normal()
            rows.append(
                {
                    "student": f"s{student}", "teacher": f"t{teacher}", "seed": one, "accuracy": 0.8 + gain,
                    "baseline": 0.8, "gain": gain, "sat_before": sat[teacher], "sat_after": sat[teacher] + 0.2,
                    "sat_change": 0.2, "change_with_others": 0.1, "beyond_others": 0.1,
                    "teacher_accuracy": accuracy[teacher], "student_base": "CNN",
                    "teacher_base": "CNN" if teacher % 2 else "Transformer", "same_base": bool(teacher % 2),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_gains_by_hand():
    trainings = pd.DataFrame(
        [
            ("s", "", 0, "s0", 0.80), ("s", "", 1, "s1", 0.82), ("s", "t", 0, "s0t", 0.85), ("s", "t", 1, "s1t", 0.81),
            ("s", "u", 0, "s0u", 0.90), ("r", "t", 0, "r0t", 0.99),
        ],
        columns=["student", "teacher", "seed", "network", "accuracy"],
    )  # fmt: skip
    pairs = pd.DataFrame(
        [("t", "s0", 3.0), ("t", "s1", 2.0), ("s0t", "t", 3.5), ("t", "s1t", 2.5), ("t", "r0t", 4.0), ("u", "s0", 1.0),
         ("u", "u", 4.6), ("u", "s0t", 1.25)],
        columns=["model_a", "model_b", "sat"],
    )  # fmt: skip
    teachers = pd.DataFrame({"teacher": ["t", "u"], "teacher_accuracy": [0.9, 0.95]})
    before = known_before(trainings, pairs, teachers)
    assert before[["student", "teacher", "seed", "sat_before"]].to_numpy().tolist() == [
        ["s", "t", 0, 3.0], ["s", "u", 0, 1.0], ["s", "t", 1, 2.0],
    ]  # fmt: skip
    bases = {"s0t": "CNN", "s1t": "CNN", "t": "CNN"}
    found = gains(trainings, pairs, teachers, bases)
    # r has no baseline, and the student of u no similarity after it was taught
    assert found["gain"].tolist() == pytest.approx([0.05, -0.01])
    assert found["sat_before"].tolist() == [3.0, 2.0]
    assert found["sat_change"].tolist() == [0.5, 0.5]
    # after its teacher t, s is also more like u, by half as much; of the second seed nothing is known
    assert found["change_with_others"].to_numpy() == pytest.approx([0.25, np.nan], nan_ok=True)
    assert found["beyond_others"].to_numpy() == pytest.approx([0.25, np.nan], nan_ok=True)
    assert found["same_base"].all()
    alone = trainings[trainings["teacher"] == ""]
    assert gains(alone, pairs, teachers, bases).empty
    (mean,) = over_seeds(found).to_dict("records")
    assert mean["gain"] == pytest.approx(0.02)
    assert (mean["seeds"], mean["teacher_accuracy"]) == (2, 0.9)
    assert (mean["gain_least"], mean["gain_most"]) == pytest.approx((-0.01, 0.05))


def test_correlations_are_scipys_overall_and_those_of_regressions_given_the_student():
    pairs = over_seeds(study(noise=0.01))
    found = relations(pairs, **QUICK, permutations=24).set_index(["measure", "group", "given"])
    for measure in (SIMILARITY, ACCURACY):
        plain = found.loc[(measure, "all", "")]
        assert plain["spearman"] == pytest.approx(spearmanr(pairs[measure], pairs["gain"]).statistic)
        assert (plain["students"], plain["teachers"], plain["pairs"]) == (2, 6, 12)
        ranks = pd.DataFrame({name: rankdata(pairs[name]) for name in (measure, "gain")})
        within = ranks - ranks.groupby(pairs["student"]).transform("mean")
        assert found.loc[(measure, "all", "student"), "spearman"] == pytest.approx(np.corrcoef(within.T)[0, 1])
    assert found["pairs"].groupby("group").first().to_dict() == {
        "all": 12, "same base architecture": 6, "other base architecture": 6,
    }  # fmt: skip


def test_the_measure_behind_the_gain_is_found_with_the_other_accounted_for():
    pairs = over_seeds(study(teachers=8, worth=0.0))
    found = relations(pairs, **QUICK, permutations=5040).set_index(["measure", "group", "given"])
    sat = found.loc[(SIMILARITY, "all", f"student + {ACCURACY}")]
    assert sat["spearman"] > 0.9
    assert sat["p"] < 0.01
    assert abs(found.loc[(ACCURACY, "all", f"student + {SIMILARITY}"), "p"]) > 0.05


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
    found = []
    for seed in range(120):
        pairs = over_seeds(study(teachers=7, seeds=1, slope=0, worth=0, noise=1, seed=seed))
        levels = pd.get_dummies(pairs["student"]).to_numpy(float)
        table = np.column_stack([pairs[[SIMILARITY, "gain"]], levels])
        found.append(p_value(pairs, table, 100, np.random.default_rng(seed)))
    assert np.mean(np.array(found) <= 0.1) < 0.2
    assert 0.4 < np.mean(found) < 0.6


def test_intervals_draw_whole_students_and_whole_teachers():
    pairs = over_seeds(study(students=3, teachers=4))
    seen = []
    interval(pairs, lambda times: seen.append(times) or 0.0, 30, 0)
    for times in seen:
        square = pairs.assign(times=times).pivot(index="student", columns="teacher", values="times").to_numpy()
        assert np.linalg.matrix_rank(square) <= 1
        assert square.sum() == 12
    low, high = interval(pairs, lambda times: float(times @ pairs["gain"] / times.sum()), 300, 0)
    assert low < pairs["gain"].mean() < high


def test_changes_are_means_with_their_share_above_zero():
    pairs = over_seeds(study()).assign(gain=[0.01, -0.01] * 6)
    found = changes(pairs, **QUICK).set_index(["quantity", "group"])
    assert found.loc[("gain", "same base architecture")].to_dict() | {"low": 0, "high": 0} == pytest.approx(
        {"pairs": 6, "mean": -0.01, "low": 0, "high": 0, "positive": 0}
    )
    assert found.loc[("gain", "all"), ["mean", "positive"]].tolist() == pytest.approx([0, 0.5])
    assert found.loc[("sat_change", "all"), ["low", "mean", "high"]].tolist() == pytest.approx([0.2, 0.2, 0.2])


def test_a_gain_model_finds_the_weights_and_ranks_by_them():
    pairs = over_seeds(study(slope=-0.02, worth=0.3))
    model = GainModel.fit(pairs)
    assert model.weights == pytest.approx({SIMILARITY: -0.02, ACCURACY: 0.3})
    ranking = model.ranking(pairs)
    best = pairs.loc[pairs.groupby("student")["gain"].idxmax(), ["student", "teacher"]]
    assert ranking.loc[ranking["rank"] == 1, ["student", "teacher"]].to_numpy().tolist() == best.to_numpy().tolist()
    assert ranking.groupby("student")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5, 6]] * 2
    with pytest.raises(UserError, match="too few to rank teachers by"):
        GainModel.fit(pairs.groupby("student").head(1))


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


def test_exact_rankings_agree_and_random_ones_do_not():
    found = evaluated(study(students=3), **FEW).set_index(["ranker", "left_out"])
    for key in ("student", "teacher"):
        assert found.loc[("SAT and accuracy", key), "spearman"] == pytest.approx(1)
        assert found.loc[("SAT and accuracy", key), "regret"] == pytest.approx(0)
        assert found.loc[("SAT", key), "spearman"] < 1
    assert found.loc[(OTHER_SEEDS, ""), "spearman"] == pytest.approx(1)
    assert found.loc[("SAT and accuracy", "student"), "p"] == 1 / 40
    random = found.loc[(RANDOM, "")]
    assert random["low"] < 0 < random["high"]
    pairs = over_seeds(study(students=3))
    best, mean = (pairs.groupby("student")["gain"].agg(how) for how in ("max", "mean"))
    assert random["regret"] == pytest.approx((best - mean).mean())


def test_accuracy_as_it_is_is_the_mean_of_scipys_correlations():
    table = study(students=3, noise=0.02)
    pairs = over_seeds(table)
    expected = [spearmanr(part[ACCURACY], part["gain"]).statistic for _, part in pairs.groupby("student")]
    found = evaluated(table, **FEW).set_index("ranker").loc[AS_IT_IS]
    assert found["spearman"] == pytest.approx(np.mean(expected))
    assert (found["students"], found["teachers"]) == (3, 6)


def test_p_is_uniform_for_rankers_of_gains_that_students_share():
    """Gains that owe nothing to what is known before, the same for all students: p is that of any order."""
    ps = []
    for seed in range(30):
        table = study(students=3, teachers=7, seeds=1, slope=0, worth=0, seed=seed)
        gain = np.random.default_rng(seed).normal(size=7)
        found = evaluated(table.assign(gain=gain[table["teacher"].str[1:].astype(int)]), **FEW)
        ps.append(found.set_index(["ranker", "left_out"])["p"])
    shares = pd.concat(ps, axis=1)
    for ranker in (("SAT and accuracy", "student"), ("SAT", "teacher"), (AS_IT_IS, "")):
        assert 0.3 < shares.loc[ranker].mean() < 0.7
        assert (shares.loc[ranker] <= 0.1).mean() < 0.3
    assert (shares.loc[(OTHER_STUDENTS, "student")] < 0.06).all()


def test_what_a_teacher_gave_others_is_the_mean_above_their_own():
    pairs = pd.DataFrame(
        [("a", "t", 0.1), ("a", "u", 0.3), ("b", "t", 0.6), ("b", "u", 0.5), ("c", "t", 0.0)],
        columns=["student", "teacher", "gain"],
    )
    scores = gain_of_others(pairs)(pairs["gain"].to_numpy())
    assert scores == pytest.approx([(0.05 + 0) / 2, -0.05, (-0.1 + 0) / 2, 0.1, (-0.1 + 0.05) / 2])


def test_a_ranking_and_the_gains_that_followed():
    pairs = over_seeds(study(students=1, noise=0.02))
    ranking = GainModel({SIMILARITY: 0.01, ACCURACY: 0.2}).ranking(pairs)
    found = with_gain(ranking, pairs.drop(index=2))
    assert found["gain"].isna().sum() == 1
    known = found.dropna(subset="gain")
    expected = spearmanr(known["rank"], -known["gain"])
    (row,) = agreement(found).itertuples()
    assert (row.teachers, row.spearman, row.p) == (5, pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert agreement(with_gain(ranking, None)).empty
    two = over_seeds(study(students=2, slope=0))
    gave = with_gain_of_others(ranking.assign(student="s9"), two).set_index("teacher")["gave_others"]
    above = two["gain"] - two.groupby("student")["gain"].transform("mean")
    assert gave.to_dict() == pytest.approx(above.groupby(two["teacher"]).mean().to_dict())
    assert with_gain_of_others(ranking.assign(student="s0"), two[two["student"] == "s0"])["gave_others"].isna().all()


def test_other_seeds_predict_one_seed_at_a_time():
    table = study(students=1, teachers=5, noise=0.02)
    gain = table.pivot(index="teacher", columns="seed", values="gain")
    expected = spearmanr(gain[0], gain[1]).statistic
    found = evaluated(table, **FEW).set_index("ranker").loc[OTHER_SEEDS]
    assert found["spearman"] == pytest.approx(expected)


def test_rankings_of_an_exact_model_are_those_of_the_gain():
    found = rankings(over_seeds(study()))
    assert (found["rank"] == found["gain_rank"]).all()
    alone = rankings(over_seeds(study(students=1, teachers=8)))
    assert (alone["rank"] == alone["gain_rank"]).all()


def test_a_study_too_small_for_anything_says_so_in_its_numbers():
    table = study(students=1, teachers=1, seeds=1)
    pairs = over_seeds(table)
    assert relations(pairs, **QUICK)[["spearman", "p"]].isna().all(axis=None)
    assert changes(pairs, **QUICK).query("group == 'all'")["mean"].notna().all()
    assert evaluated(table, **FEW)["spearman"].fillna(0).eq(0).all()
    assert rankings(pairs)["rank"].isna().all()
