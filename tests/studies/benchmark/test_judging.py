"""How measures are judged: against scikit-learn, against a count by hand, and in closed form."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from sat_exp.studies.benchmark.groups import ACCURACY, SAT, Stratum
from sat_exp.studies.benchmark.judging import (
    average_precision,
    drawn_models,
    expected_precision,
    judged,
    tables,
    violations,
    with_share,
)

FIFTEEN = np.repeat([0, 1, 2], 5)
FIRST, SECOND = np.triu_indices(15, 1)
WITHIN = FIFTEEN[FIRST] == FIFTEEN[SECOND]
ONCE = np.ones((1, len(FIRST)))
SETTINGS = {"resamples": 200, "confidence": 0.95, "seed": 0, "advance": lambda steps: None}


def stratum(sat, groups=FIFTEEN, accuracies=None, test="noise", name="a", **others):
    """A stratum from symmetric matrices; SAT is the first measure."""
    models = [f"m{index}" for index in range(len(groups))]
    known = np.linspace(0.5, 0.9, len(groups)) if accuracies is None else accuracies
    values = {SAT: sat, **others}
    values = {measure: np.where(np.eye(len(groups), dtype=bool), np.nan, own) for measure, own in values.items()}
    return Stratum(test, name, "run", models, [f"g{group}" for group in groups], values, known)


def symmetric(seed, size=15):
    values = np.random.default_rng(seed).random((size, size))
    return values + values.T


def planted(strength, seed=0, groups=FIFTEEN):
    """Noise, and `strength` more for pairs within a group."""
    return symmetric(seed, len(groups)) + strength * (groups[:, None] == groups[None, :])


def test_chance_is_the_mean_over_all_orders():
    for pairs, within in ((5, 2), (6, 1), (4, 3)):
        kinds = np.arange(pairs) < within
        orders = [np.array(order, float) for order in permutations(range(pairs))]
        every = [average_precision(order, kinds, np.ones((1, pairs)))[0] for order in orders]
        assert expected_precision(within, pairs) == pytest.approx(np.mean(every))
    assert expected_precision(30, 105) == pytest.approx(0.3148, abs=1e-4)
    assert np.isnan(expected_precision(0, 5))
    assert np.isnan(expected_precision(5, 5))


def test_three_groups_of_five_are_30_of_105_pairs():
    found = judged(stratum(symmetric(0)), 2, 0)[SAT]
    assert (found.models, found.pairs, found.within) == (15, 105, 30)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 6))
def test_the_average_precision_is_scikit_learns_with_ties_and_weights(seed, pairs, levels):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, pairs).astype(float)
    within = rng.random(pairs) < 0.4
    within[:2] = True, False
    weights = rng.integers(0, 3, (4, pairs)).astype(float)
    weights[:, :2] += 1
    expected = [average_precision_score(within, values, sample_weight=row) for row in weights]
    np.testing.assert_allclose(average_precision(values, within, weights), expected, rtol=1e-12)


def test_without_a_pair_of_either_kind_there_is_no_average_precision():
    values, within = np.arange(4.0), np.array([True, False, True, False])
    weights = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]])
    assert np.isnan(average_precision(values, within, weights)).tolist() == [True, True, False]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_violations_are_counted_over_all_pairs_of_pairs(seed, levels):
    rng = np.random.default_rng(seed)
    groups = np.array([0, 0, 0, 1, 1, 2])
    first, second = np.triu_indices(6, 1)
    values = rng.integers(0, levels, len(first)).astype(float)
    times = rng.integers(0, 3, (3, 6))
    times[:, :4] += 1
    weights = (times[:, first] * times[:, second]).astype(float)
    expected = []
    for row in weights:
        broken = compared = 0.0
        for p, q in product(range(len(first)), repeat=2):
            group = groups[first[p]]
            if group == groups[second[p]] and [groups[first[q]], groups[second[q]]].count(group) == 1:
                compared += row[p] * row[q]
                broken += row[p] * row[q] * (values[p] <= values[q])
        expected.append(broken / compared)
    np.testing.assert_allclose(violations(values, first, second, groups, weights), expected, rtol=1e-12)


def test_a_perfect_measure_a_reversed_one_and_a_constant_one():
    perfect = WITHIN.astype(float)
    numbers = {
        name: (average_precision(values, WITHIN, ONCE)[0], violations(values, FIRST, SECOND, FIFTEEN, ONCE)[0])
        for name, values in (("perfect", perfect), ("reversed", -perfect), ("constant", 0 * perfect))
    }
    worst = np.mean([found / (75 + found) for found in range(1, 31)])
    assert numbers["perfect"] == (1, 0)
    assert numbers["constant"] == (pytest.approx(30 / 105), 1)
    reverse = average_precision(-perfect - np.arange(105) * 1e-9, WITHIN, ONCE)[0]
    assert (reverse, numbers["reversed"][1]) == (pytest.approx(worst), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_only_the_order_of_values_counts(seed):
    values = symmetric(seed)[FIRST, SECOND]
    assert average_precision(np.exp(values), WITHIN, ONCE) == average_precision(values, WITHIN, ONCE)
    moved = violations(3 * values - 7, FIRST, SECOND, FIFTEEN, ONCE)
    assert moved == violations(values, FIRST, SECOND, FIFTEEN, ONCE)


def test_a_draw_keeps_the_sizes_of_groups_and_the_chance_level():
    times = drawn_models(FIFTEEN, 300, np.random.default_rng(0))
    assert (times.reshape(300, 3, 5).sum(axis=2) == 5).all()
    assert times.mean() == 1
    assert times.max() > 2
    plain = (times[:, FIRST] * times[:, SECOND]).astype(float)
    levelled = with_share(plain, WITHIN)
    shares = levelled[:, WITHIN].sum(axis=1) / levelled.sum(axis=1)
    np.testing.assert_allclose(shares, 30 / 105)
    assert (plain[:, WITHIN].sum(axis=1) / plain.sum(axis=1)).mean() < 0.27
    np.testing.assert_array_equal(with_share(ONCE, WITHIN), ONCE)


def test_the_interval_of_a_random_measure_includes_chance_and_that_of_a_good_one_does_not():
    found = tables([stratum(planted(0), agreement=planted(5, seed=1))], **SETTINGS)["recognition"].set_index("measure")
    random, good = found.loc[SAT], found.loc["agreement"]
    assert random["auprc_low"] < random["chance"] < random["auprc_high"]
    assert good[["auprc", "auprc_low", "violation_rate"]].tolist() == pytest.approx([1, 1, 0])
    assert good["auprc_above_sat_low"] > 0
    assert random[["auprc_above_sat", "auprc_above_sat_low", "auprc_above_sat_high"]].tolist() == [0, 0, 0]
    assert found.index.tolist() == ["agreement", SAT], "the best is first"


def test_intervals_cover_the_expected_value_about_as_often_as_they_say():
    """Models with a value of their own: the expected AUPRC is known from many samples."""

    def values(seed):
        own = np.random.default_rng(seed).normal(size=15)
        return planted(0.5, seed) + 0.15 * (own[:, None] + own[None, :])

    expected = np.mean([average_precision(values(seed)[FIRST, SECOND], WITHIN, ONCE)[0] for seed in range(5000, 6500)])
    intervals = [
        tables([stratum(values(seed))], **SETTINGS)["recognition"].iloc[0][["auprc_low", "auprc_high"]]
        for seed in range(100)
    ]
    covered = np.mean([low <= expected <= high for low, high in intervals])
    assert covered > 0.85


def test_a_test_is_the_mean_of_its_strata():
    parts = [stratum(planted(0.3, seed), name=str(seed)) for seed in range(3)]
    found = tables(parts, **SETTINGS)
    whole, by_stratum = found["recognition"].iloc[0], found["recognition_by_stratum"]
    assert whole["auprc"] == pytest.approx(by_stratum["auprc"].mean())
    assert whole["violation_rate"] == pytest.approx(by_stratum["violation_rate"].mean())
    assert (whole["models"], whole["pairs"], whole["within"], whole["strata"]) == (45, 315, 90, 3)
    width = by_stratum["auprc_high"] - by_stratum["auprc_low"]
    assert whole["auprc_high"] - whole["auprc_low"] < width.mean()


def test_a_stratum_does_not_depend_on_the_others_and_the_seed_matters():
    one, two = (stratum(planted(0.3, seed), name=str(seed)) for seed in range(2))
    alone = tables([two], **SETTINGS)["recognition_by_stratum"]
    both = tables([one, two], **SETTINGS)["recognition_by_stratum"]
    assert both[both["stratum"] == "1"].reset_index(drop=True).equals(alone)
    other = tables([two], **SETTINGS | {"seed": 1})["recognition_by_stratum"]
    assert other["auprc"].equals(alone["auprc"])
    assert not other["auprc_low"].equals(alone["auprc_low"])


def test_relations_with_outputs_are_rank_correlations():
    sat, agreement = planted(0.5), planted(0.5, seed=1)
    accuracies = np.random.default_rng(2).random(15)
    part = stratum(sat, agreement=agreement, accuracies=accuracies)
    found = tables([part], **SETTINGS)["output_relations"].set_index(["measure", "reference"])["spearman"]
    likeness = -np.abs(accuracies[FIRST] - accuracies[SECOND])
    expected = {
        (SAT, ACCURACY): spearmanr(sat[FIRST, SECOND], likeness)[0],
        (SAT, "agreement"): spearmanr(sat[FIRST, SECOND], agreement[FIRST, SECOND])[0],
        ("agreement", ACCURACY): spearmanr(agreement[FIRST, SECOND], likeness)[0],
    }
    assert found.to_dict() == pytest.approx(expected)


def test_unknown_accuracies_give_no_relation():
    part = stratum(planted(0.5), agreement=planted(0.5, seed=1), accuracies=np.full(15, np.nan))
    assert set(tables([part], **SETTINGS)["output_relations"]["reference"]) == {"agreement"}


def test_a_pair_without_a_value_is_left_out_for_that_measure_and_in_its_comparison_with_sat():
    sat, other = planted(0.5), planted(0.5, seed=1)
    other[0, 1] = other[1, 0] = np.nan
    found = tables([stratum(sat, same_error=other)], **SETTINGS)["recognition"].set_index("measure")
    assert found[["pairs", "within"]].to_numpy().tolist() == [
        [105, 30] if measure == SAT else [104, 29] for measure in found.index
    ]
    assert found.loc["same_error", "chance"] == expected_precision(29, 104)
    alone = tables([stratum(sat)], **SETTINGS)["recognition"].iloc[0]
    assert alone["auprc"] == found.loc[SAT, "auprc"]
    known = np.isfinite(other[FIRST, SECOND])
    there, own = (
        average_precision(values[FIRST, SECOND][known], WITHIN[known], ONCE[:, known])[0] for values in (sat, other)
    )
    assert found.loc["same_error", "auprc_above_sat"] == pytest.approx(own - there)


def test_a_measure_that_knows_no_pair_within_a_group_is_last_and_unknown():
    other = np.where(FIFTEEN[:, None] == FIFTEEN[None, :], np.nan, symmetric(1))
    found = tables([stratum(planted(0.5), same_error=other)], **SETTINGS)["recognition"]
    assert found["measure"].tolist() == [SAT, "same_error"]
    assert found.iloc[1][["chance", "auprc", "auprc_low", "violation_rate"]].isna().all()
