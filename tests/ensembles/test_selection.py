"""The choice of ensembles: which are chosen, on which images, and within which limits."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from sat_exp.ensembles import contests, selection
from sat_exp.ensembles.members import members_of, pair_mean, ranks, tabulate
from sat_exp.ensembles.pool import Pool, similarities
from sat_exp.ensembles.selection import Limits
from sat_exp.errors import UserError
from sat_exp.similarity.agreement import agreement


@pytest.fixture
def pool():
    """Six networks; 4 and 5 are almost the same. Logits, labels, contests, pool, SAT, all pairs and trios."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (6, 400, 5)).astype(np.float32)
    logits[5] = logits[4] + 0.05 * rng.normal(size=(400, 5))
    logits[:, np.arange(400), labels] += np.array([1.9, 1.8, 1.7, 1.6, 2.0, 2.0], np.float32)[:, None]
    right = logits.argmax(axis=2) == labels
    sat = rng.uniform(2, 3, (6, 6))
    sat = (sat + sat.T) / 2
    sat[4, 5] = sat[5, 4] = 4.5
    of_pool = contests.contests([(logits, labels)])
    of_models, candidates = Pool(right, COSTS, pd.DataFrame(sat, [*"abcdef"], [*"abcdef"]), np.arange(6)), []
    for size in (2, 3):
        members = members_of(6, size, ranks(6, size))
        counted = np.column_stack(
            [contests.count_errors(of_pool, members), contests.count_common_errors(right, members)]
        )
        candidates.append(tabulate(members, counted, right, of_models.properties))
    return logits, labels, of_pool, of_models, sat, candidates


COSTS = pd.DataFrame({"parameters": [1, 2, 3, 4, 5, 6], "flops": [6, 5, 4, 3, 2, 1]})


def errors(logits, labels, members, images):
    added = contests.scores(logits[members][:, images], "probabilities").sum(axis=0)
    return (added.argmax(axis=1) != labels[images]).mean()


def test_choices_are_made_on_one_half_and_evaluated_on_the_other(pool):
    logits, labels, of_pool, models, sat, candidates = pool
    right = models.right
    chosen = selection.halves(400, 3, seed=0)
    assert chosen.sum(axis=1).tolist() == [200] * 3
    for half in chosen:
        table = selection.held_out(of_pool, models, candidates, half, sat, Limits())
        rows = table.set_index(["size", "strategy"])
        for same_size in candidates:
            before, after = (
                np.array([errors(logits, labels, members, part) for members in same_size.members])
                for part in (half, ~half)
            )
            by = rows.loc[same_size.size]
            assert by.error["validation error"] == pytest.approx(before.min())
            assert by.held_out["best possible"] == pytest.approx(after.min())
            assert by.held_out["random"] == pytest.approx(after.mean())
            for strategy in selection.STRATEGIES:
                members = [int(number) for number in by.models[strategy].split()]
                at = same_size.members.tolist().index(members)
                assert by.held_out[strategy] == pytest.approx(after[at])
            own = similarities(pd.DataFrame(sat), right[:, half])["error_consistency"]
            members_error = 1 - right[:, half].mean(axis=1)[same_size.members].mean(axis=1)
            rank = rankdata(members_error) + rankdata(pair_mean(own, same_size.members))
            expected = same_size.members[rank.argmin()]
            assert by.models["accuracy, other errors"] == " ".join(map(str, expected))
            members = [int(number) for number in by.models["accuracy"].split()]
            each = 1 - right[:, half].mean(axis=1)
            assert by.held_out_members["accuracy"] == pytest.approx((1 - right[:, ~half].mean(axis=1))[members].mean())
            assert each[members].mean() == pytest.approx(each[same_size.members].mean(axis=1).min())
        single = rows.loc[(1, selection.SINGLE)]
        best = right[:, half].mean(axis=1).argmax()
        assert single.held_out == pytest.approx(1 - right[best, ~half].mean())


def test_the_least_similar_are_chosen_by_the_matrix_of_the_half(pool):
    _, _, of_pool, models, sat, candidates = pool
    other = sat.copy()
    other[0, 3] = other[3, 0] = 0.5
    one, two = (
        selection.held_out(of_pool, models, candidates[:1], half, matrix, Limits())
        for half, matrix in zip(selection.halves(400, 2, seed=1), (sat, other), strict=True)
    )
    assert two.set_index("strategy").models["low SAT"] == "0 3"
    assert one.set_index("strategy").models["low SAT"] != "4 5"


def recommended(pool, limits, results):
    *_, models, _, candidates = pool
    return selection.recommended(candidates, models, limits, results)


def test_limits_hold_and_limits_without_candidates_are_empty(pool):
    _, _, of_pool, models, sat, candidates = pool
    half = selection.halves(400, 2, seed=0)[0]
    table = selection.held_out(of_pool, models, candidates, half, sat, Limits(most={"parameters": 6}))
    assert set(table["models"]) <= {"0", "1", "2", "3", "4", "5", "0 1", "0 2", "0 3", "0 4", "1 2", "1 3", "0 1 2", ""}
    assert table.set_index(["size", "strategy"]).candidates[3, "random"] == 1
    best = recommended(pool, Limits(most={"parameters": 6}), selection.compared([table]))
    assert (best["parameters"] <= 6).all()
    both = Limits(most={"parameters": 6, "flops": 8}).allow(candidates[0].members, models.accuracy, COSTS)
    assert [*map(tuple, candidates[0].members[both])] == [(0, 4), (1, 3)]
    floor = float(np.sort(models.accuracy)[-2])
    allowed = Limits(accuracy=floor).allow(candidates[0].members, models.accuracy, COSTS)
    assert allowed.sum() == 1
    assert Limits(accuracy=floor).allow_any(2, models.accuracy, COSTS)
    assert not Limits(accuracy=floor).allow_any(3, models.accuracy, COSTS)
    for size, most, possible in ((2, 3, True), (2, 2, False), (3, 6, True), (3, 5, False)):
        assert Limits(most={"parameters": most}).allow_any(size, models.accuracy, COSTS) == possible
    assert selection.held_out(of_pool, models, candidates, half, sat, Limits(accuracy=0.999)).empty


@pytest.mark.parametrize("size", [2, 3, 5])
def test_limits_are_met_together_if_some_ensemble_meets_them(size):
    accuracy = np.array([0.9, 0.8, 0.7, 0.9, 0.8, 0.6])
    members = members_of(6, size, ranks(6, size))
    outcomes = set()
    for parameters in range(3, 21, 2):
        for flops in range(3, 21, 3):
            for floor in (0.0, 0.65, 0.85):
                limits = Limits(floor, {"parameters": parameters, "flops": flops})
                expected = bool(limits.allow(members, accuracy, COSTS).any())
                assert limits.allow_any(size, accuracy, COSTS) == expected, limits
                outcomes.add(expected)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            Limits(most={"parameters": 6, "flops": 6}),
            "no ensemble of 2 or 3 is within the limits, as 2 models have at least 3 parameters and 3 multiply-adds, "
            "each counted alone: give another task.most_parameters or task.most_flops",
        ),
        (Limits(0.85, {"flops": 20}), "as 1 of 6 models have an accuracy of 0.85 or more: give another task.least_a"),
    ],
)
def test_limits_that_no_ensemble_meets_name_what_is_possible(limits, message):
    with pytest.raises(UserError) as error:
        limits.sizes([2, 3], np.array([0.9, 0.8, 0.7, 0.8, 0.8, 0.6]), COSTS)
    assert message in str(error.value)


def test_recommendations_are_named_ranked_and_have_their_expected_error(pool):
    _, _, of_pool, models, sat, candidates = pool
    chosen = selection.halves(400, 4, seed=2)
    splits = [selection.held_out(of_pool, models, candidates, half, sat, Limits()) for half in chosen]
    compared = selection.compared(splits)
    expected = pd.concat(splits).groupby(["size", "strategy"])["held_out"].mean()
    table = recommended(pool, Limits(), compared)
    assert len(table) == 2 * len(selection.STRATEGIES) * 3
    pair = table.query("size == 2 and strategy == 'validation error' and place == 1").iloc[0]
    assert pair.error == candidates[0].table["error"].min()
    assert pair.error_low < pair.error < pair.error_high
    assert pair.held_out == pytest.approx(expected[2, "validation error"])
    by_sat = table.query("size == 3 and strategy == 'low SAT'")
    assert by_sat["sat"].is_monotonic_increasing
    assert not by_sat["models"].str.contains("e \\+ f").any()
    random = compared.set_index(["size", "strategy"]).loc[(2, "random")]
    assert random.below_random == 0


def test_a_split_in_which_nothing_is_allowed_is_left_out(pool):
    _, _, of_pool, models, sat, candidates = pool
    half = selection.halves(400, 1, seed=0)[0]
    some, none = (
        selection.held_out(of_pool, models, candidates, half, sat, limits) for limits in (Limits(), Limits(accuracy=1))
    )
    assert none.empty
    pd.testing.assert_frame_equal(selection.compared([none, some]), selection.compared([some]))


def test_similarities_of_errors_and_without_hubs(pool):
    logits, labels, _, models, _, _ = pool
    names = models.names
    of_pool = similarities(models.sat, models.right)
    clean = dict(zip(names, logits.argmax(axis=2), strict=True))
    expected = agreement(names, labels, clean).set_index(["model_a", "model_b"])["error_consistency"]
    for (a, b), value in expected.items():
        assert of_pool["error_consistency"][names.index(a), names.index(b)] == pytest.approx(value)
    left = of_pool["sat_without_hubs"]
    assert np.nanmean(left, axis=1) == pytest.approx(0, abs=1e-9)
    assert left[4, 5] == np.nanmax(left)
