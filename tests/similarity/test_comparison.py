"""Agreement of matrices: identical matrices, known noise, scipy's values, names, and the coverage of intervals."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity.comparison import agreement, compare
from sat_exp.similarity.matrices import Matrix, from_pairs, sampling_error

QUICK = {"resamples": 50}


def as_matrix(sat, name="matrix", images=5000):
    error = sampling_error(sat, images)
    return Matrix(name, sat, error, error)


def noisy(sat, spread, offset=0.0, seed=0):
    noise = np.triu(np.random.default_rng(seed).normal(offset, spread, sat.shape), 1)
    return sat + noise + noise.T


def values(table, column="value"):
    return table.set_index("measure")[column]


def two_way(models, rng, correlation, own=1.0, pair=0.5):
    """Two matrices whose entries are u_i + u_j + e_ij, with u and e of both correlated by `correlation`."""
    mix = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    u = own * mix @ rng.standard_normal((2, models))
    e = pair * np.einsum("kl,lij->kij", mix, np.triu(rng.standard_normal((2, models, models)), 1))
    both = u[:, :, None] + u[:, None, :] + e + e.transpose(0, 2, 1)
    names = [f"m{index}" for index in range(models)]
    return [as_matrix(pd.DataFrame(part, index=names, columns=names)) for part in both]


@pytest.fixture
def square():
    names = ["a", "b", "c", "d"]
    sat = [[4.6, 3.0, 2.0, 2.5], [3.0, 4.6, 2.2, 2.4], [2.0, 2.2, 4.6, 3.5], [2.5, 2.4, 3.5, 4.6]]
    return pd.DataFrame(sat, index=names, columns=names)


def test_a_matrix_agrees_with_itself(published):
    table = agreement(as_matrix(published), as_matrix(published), **QUICK).set_index("measure")
    assert (table["models"] == 69).all()
    assert (table["pairs"] == 69 * 68 // 2).all()
    assert table.loc[["spearman", "pearson", "slope"], "value"].to_numpy() == pytest.approx(1)
    assert table.loc[["spearman", "pearson"], ["low", "high"]].to_numpy() == pytest.approx(1)
    assert table.loc[["offset", "mean_absolute_difference"], "value"].to_numpy() == pytest.approx(0)
    assert table.loc["same_nearest", "value"] == 69
    assert table.loc["nearest_overlap", "value"] == 1
    assert table.loc["spearman", "p"] == pytest.approx(1 / 50)
    assert table.loc["white_box_measured", "value"] == table.loc["white_box_reference", "value"]


def test_point_values_are_scipys_and_known_noise_is_found_again(published):
    changed = 0.9 * noisy(published, 0.1) + 0.3
    table = agreement(as_matrix(changed), as_matrix(published), **QUICK)
    found = values(table)
    upper = np.triu_indices(69, 1)
    x, y = changed.to_numpy()[upper], published.to_numpy()[upper]
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["slope"] == pytest.approx(stats.linregress(y, x).slope)
    assert found["slope"] == pytest.approx(0.9, abs=0.03)
    assert found["offset"] == pytest.approx(0.3 - 0.1 * y.mean(), abs=0.01)
    assert found["mean_absolute_difference"] == pytest.approx(np.abs(x - y).mean())

    plain = values(agreement(as_matrix(noisy(published, 0.1)), as_matrix(published), **QUICK))
    assert plain["mean_absolute_difference"] == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)
    assert plain["centred_absolute_difference"] == pytest.approx(plain["mean_absolute_difference"], rel=0.01)


def test_two_samples_of_one_truth_differ_by_what_their_errors_allow(published):
    """Binomial transfer of 4,000 shared images both ways: the expected difference and ceiling are the found ones."""
    rng = np.random.default_rng(3)
    rate = np.exp(published.to_numpy()) / 100

    def measured():
        fooled = np.triu(rng.binomial(2 * 4000, np.clip(rate, 0, 1)), 1) / (2 * 4000)
        return pd.DataFrame(
            np.log(100 * (fooled + fooled.T + np.diag(np.diag(rate)))), index=published.index, columns=published.index
        )

    table = agreement(as_matrix(measured()), as_matrix(measured()), **QUICK).set_index("measure")
    for measure in ("mean_absolute_difference", "centred_absolute_difference"):
        assert table.loc[measure, "value"] == pytest.approx(table.loc[measure, "expected"], rel=0.06)
    assert table.loc["pearson", "value"] == pytest.approx(table.loc["pearson_ceiling", "value"], abs=0.002)


def test_nearest_neighbours_by_hand(square):
    swapped = square.copy()
    swapped.loc["a", "d"] = swapped.loc["d", "a"] = 3.2  # a's nearest becomes d; b's stays a, c's d, d's c
    table = agreement(as_matrix(swapped), as_matrix(square), **QUICK).set_index("measure")
    assert table.loc["same_nearest", "value"] == 3
    assert table.loc["same_nearest", "expected"] == pytest.approx(4 / 3)
    assert table.loc["nearest_overlap", ["value", "expected"]].tolist() == [1, 1]


def test_unrelated_matrices_agree_no_more_than_chance(published):
    names = list(published.index)
    shuffled = np.random.default_rng(5).permutation(names)
    other = published.loc[shuffled, shuffled].set_axis(names).set_axis(names, axis=1)
    table = agreement(as_matrix(other), as_matrix(published), resamples=200).set_index("measure")
    assert table.loc["same_nearest", "expected"] == pytest.approx(69 / 68)
    assert table.loc["nearest_overlap", "expected"] == pytest.approx(5 / 68)
    assert table.loc[["spearman", "pearson", "same_nearest", "nearest_overlap"], "p"].min() > 0.02
    assert table.loc["spearman", "low"] < 0 < table.loc["spearman", "high"]


def test_p_is_uniform_where_nothing_is_shared():
    rng = np.random.default_rng(8)
    found = [values(agreement(*two_way(8, rng, 0.0), resamples=40), "p")["pearson"] for _ in range(80)]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_intervals_over_models_cover_where_those_over_pairs_do_not():
    """Entries u_i + u_j + e_ij correlate by 0.7 between the matrices; 50 pools of 20 models.

    Over 200 pools the intervals cover in 88%, with 30 models in 91%; Fisher's for independent pairs in 50% and 42%.
    """
    rng = np.random.default_rng(1)
    covered = naive = 0
    for seed in range(50):
        a, b = two_way(20, rng, 0.7)
        row = agreement(a, b, resamples=100, seed=seed).set_index("measure").loc["pearson"]
        covered += row["low"] <= 0.7 <= row["high"]
        half = 1.96 / math.sqrt(row["pairs"] - 3)  # Fisher's, as if pairs were independent
        naive += abs(math.atanh(row["value"]) - math.atanh(0.7)) <= half
    assert covered >= 0.8 * 50
    assert naive <= 0.7 * 50


def test_models_are_matched_by_name_not_by_place(published):
    order = np.random.default_rng(0).permutation(published.index)
    found = compare(as_matrix(published.loc[order, order]), as_matrix(published), **QUICK)
    assert values(found["agreement"])["same_nearest"] == 69
    assert (found["pairs_compared"]["difference"] == 0).all()
    assert len(found["pairs_compared"]) == 69 * 70 // 2


def test_some_models_are_set_aside(published):
    aside = list(published.index[:9])
    changed = published.copy()
    changed.loc[aside] = changed.loc[:, aside] = published.loc[aside] + 0.5
    changed = (changed + changed.T) / 2
    found = compare(as_matrix(changed), as_matrix(published), set_aside=aside, reason="the first nine", **QUICK)
    groups = dict(list(found["agreement"].groupby("group")))
    assert set(groups) == {"all", "without the first nine"}
    assert values(groups["without the first nine"])["mean_absolute_difference"] == 0
    assert set(groups["without the first nine"]["models"]) == {60}
    assert values(groups["all"])["mean_absolute_difference"] > 0
    assert found["disagreements"]["set_aside"].all()
    between = found["pairs_compared"].query("model_a != model_b")
    assert between["set_aside"].sum() == 9 * 60 + 9 * 8 // 2


def test_largest_disagreements_come_first_in_standard_errors(published):
    changed = published.copy()
    changed.loc["resnet50", "dla102x2"] = changed.loc["dla102x2", "resnet50"] = (
        published.loc["resnet50", "dla102x2"] - 1
    )
    found = compare(as_matrix(noisy(changed, 0.01)), as_matrix(published), **QUICK)
    first = found["disagreements"].iloc[0]
    assert {first["model_a"], first["model_b"]} == {"resnet50", "dla102x2"}
    assert first["difference"] == pytest.approx(-1, abs=0.05)
    error = np.hypot(*(sampling_error(m, 5000).loc["resnet50", "dla102x2"] for m in (noisy(changed, 0.01), published)))
    assert first["standard_errors"] == pytest.approx(first["difference"] / error)
    assert len(found["disagreements"]) == 10
    assert found["disagreements"]["difference"].abs().is_monotonic_decreasing


def test_standard_errors_of_a_run_are_read_off_its_intervals():
    sat = {"sat": [2.0], "sat_low": [1.9], "sat_high": [2.1]}
    pairs = pd.DataFrame({"model_a": ["a"], "model_b": ["b"]} | sat)
    z = stats.norm.ppf(0.95)
    assert from_pairs("run", pairs, confidence=0.9).error.loc["b", "a"] == pytest.approx(0.1 / z)
    assert from_pairs("run", pairs).sat.loc["b", "a"] == 2.0


def counted(rate, images, seed):
    """Tables of pairs of four models measured on `images`, both directions of `rate` and independent."""
    rng = np.random.default_rng(seed)
    both, one, neither = rng.multinomial(images, [rate**2, 2 * rate * (1 - rate), (1 - rate) ** 2], size=6).T
    first, second = np.triu_indices(4, 1)
    table = pd.DataFrame({"model_a": [*"abcd"], "model_b": [*"abcd"], "sat": 4.6, "sat_low": 4.5, "sat_high": 4.605})
    low, high = similarity.sat_interval(both, one, neither)
    sat = similarity.sat(images, 2 * both, one)
    names = np.array([*"abcd"])
    between = pd.DataFrame(
        {"model_a": names[first], "model_b": names[second], "sat": sat, "sat_low": low, "sat_high": high}
    )
    return pd.concat([table, between], ignore_index=True)


@pytest.mark.parametrize(("rate", "images"), [(0.0, 5000), (1.0, 20)])
def test_a_run_without_a_hit_or_without_a_miss_has_standard_errors(rate, images):
    found = from_pairs("run", counted(rate, images, 0))
    assert (found.error.to_numpy() > 0).all()
    other = from_pairs("other", counted(0.3, 5000, 1))
    pairs = compare(found, other, **QUICK)["pairs_compared"].query("model_a != model_b")
    assert np.isfinite(pairs["standard_errors"]).all()
    same = compare(found, from_pairs("again", counted(rate, images, 2)), **QUICK)["pairs_compared"]
    assert (same.query("model_a != model_b")["standard_errors"] == 0).all()


@pytest.mark.parametrize(("rate", "images"), [(0.001, 1000), (0.02, 20), (0.3, 300), (0.99, 100), (0.999, 1000)])
def test_two_measurements_of_one_truth_rarely_differ_by_two_standard_errors(rate, images):
    """Where hits are few the errors of a percentile bootstrap call a fifth to a half of such pairs different."""
    parts = []
    for seed in range(30):
        one, two = (from_pairs("run", counted(rate, images, start + seed)) for start in (0, 1000))
        found = compare(one, two, resamples=2)["pairs_compared"]
        parts.append(found.query("model_a != model_b")["standard_errors"])
    assert (pd.concat(parts).abs() > 1.96).mean() <= 0.09


def test_missing_pairs_are_left_out(square):
    partial = square.copy()
    partial.loc["a", "b"] = partial.loc["b", "a"] = np.nan
    found = compare(as_matrix(partial), as_matrix(square), **QUICK)
    assert set(found["agreement"]["pairs"]) == {5}
    assert values(found["agreement"])["pearson"] == pytest.approx(1)
    assert values(found["agreement"])["same_nearest"] == 4


def test_too_few_models_in_common_names_both_sides(square):
    other = square.set_axis(["a", "b", "x", "y"]).set_axis(["a", "b", "x", "y"], axis=1)
    message = "2 models in common, where 3 are needed: run has a, b, c and 1 more; published has a, b, x and 1 more"
    with pytest.raises(UserError, match=message):
        compare(as_matrix(square, "run"), as_matrix(other, "published"))
    sat = square.where(np.eye(4, dtype=bool))
    sat.loc["a", ["b", "c"]] = sat.loc[["b", "c"], "a"] = 2.0
    with pytest.raises(UserError, match="2 pairs known to both run and published"):
        compare(as_matrix(sat, "run"), as_matrix(square, "published"))


def test_three_models_are_enough(square):
    few = square.iloc[:3, :3]
    found = compare(as_matrix(noisy(few, 0.1)), as_matrix(few), **QUICK)
    assert set(found["agreement"]["pairs"]) == {3}
    assert values(found["agreement"])[["spearman", "pearson"]].notna().all()
