"""Agreement of variants, against closed forms, SciPy and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from sat_exp.similarity import Predictions, matrix, score
from sat_exp.studies.stability import agreement, contrast
from sat_exp.studies.stability.agreement import Matrices

SCORING = {"compare": "truth", "floor": 0.01, "seed": 0}


def symmetric(rng, models):
    """A matrix like one of SAT, [M, M]."""
    upper = np.triu(rng.uniform(1, 4.5, (models, models)))
    return upper + np.triu(upper, 1).T


def noisy(whole, rng, scale, draws=60):
    """Draws of a matrix with errors of `scale`."""
    noise = np.triu(rng.normal(0, scale, (draws, *whole.shape)), 1)
    return whole + noise + noise.transpose(0, 2, 1)


def predictions(rng, models=6, images=200, spread=0.3):
    """Models that are right on most images; a source fools each target with its own probability."""
    labels = rng.integers(0, 10, images)
    names = [f"m{number}" for number in range(models)]
    clean = {name: np.where(rng.random(images) < 0.9, labels, (labels + 1) % 10) for name in names}
    strength = symmetric(rng, models) / 4.5 * spread
    adversarial = {}
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            fooled = rng.random(images) < strength[i, j]
            adversarial[a, b] = np.where(fooled, (clean[b] + 1) % 10, clean[b])
    return Predictions(names, labels, clean, adversarial)


def test_the_whole_matrix_is_that_of_the_scores():
    found = predictions(np.random.default_rng(0))
    expected = matrix(score(found, dict.fromkeys(found.names, "family")))
    got = agreement.matrices(found, 20, **SCORING)
    np.testing.assert_allclose(got.whole, expected)
    assert got.drawn.shape == (20, 6, 6)
    assert np.abs(np.nanmean(got.drawn, axis=0) - got.whole).max() < 0.5


def test_variants_are_drawn_with_the_same_images():
    found = predictions(np.random.default_rng(0))
    one, other = (agreement.matrices(found, 5, **SCORING) for _ in range(2))
    np.testing.assert_array_equal(one.drawn, other.drawn)


@given(st.integers(0, 2**31))
def test_correlations_are_those_of_scipy(seed):
    a, b = np.random.default_rng(seed).integers(0, 6, (2, 4, 12)).astype(float)
    got = agreement.correlations(a, b)
    for row, value in enumerate(got):
        if np.ptp(a[row]) and np.ptp(b[row]):
            assert value == pytest.approx(spearmanr(a[row], b[row]).statistic)


def test_an_equal_variant_agrees_wholly_and_a_random_one_does_not():
    rng = np.random.default_rng(1)
    whole, other = symmetric(rng, 12), symmetric(rng, 12)
    reference = Matrices(whole, noisy(whole, rng, 0.05))
    measured = {"reference": reference, "same": reference, "random": Matrices(other, noisy(other, rng, 0.05))}
    table = agreement.agreement(measured, 4, 0.95, seed=0).set_index("variant")
    assert table.loc["same", ["spearman", "rand", "same_nearest"]].tolist() == [1, 1, 1]
    assert table.loc["same", "moved"] == 0
    assert abs(table.loc["random", "spearman"]) < 0.4
    assert table.loc["random", "rand"] < 0.3
    assert table.loc["random", "moved"] > 0.8
    assert table.loc["random", "spearman_low"] < table.loc["random", "spearman"] < table.loc["random", "spearman_high"]


def test_pairs_that_differ_by_sampling_error_rarely_move():
    rng = np.random.default_rng(2)
    whole = symmetric(rng, 15)
    a, b = noisy(whole, rng, 0.1, draws=2)
    measured = {"reference": Matrices(a, noisy(a, rng, 0.1, 400)), "other": Matrices(b, noisy(b, rng, 0.1, 400))}
    assert agreement.agreement(measured, 4, 0.95, seed=0).set_index("variant").loc["other", "moved"] < 0.15


def test_an_offset_of_all_pairs_moves_none():
    rng = np.random.default_rng(3)
    whole = symmetric(rng, 8)
    drawn = noisy(whole, rng, 0.1)
    measured = {"reference": Matrices(whole, drawn), "other": Matrices(whole + 1, drawn + 1)}
    row = agreement.agreement(measured, 3, 0.95, seed=0).set_index("variant").loc["other"]
    assert row["spearman"] == pytest.approx(1)
    assert row["moved"] == 0
    pairs = agreement.moved_pairs(list("abcdefgh"), measured).query("variant == 'other'")
    np.testing.assert_allclose(pairs["moved_by"], 0, atol=1e-12)
    np.testing.assert_allclose(pairs["error"], 0, atol=1e-12)


def test_the_adjusted_rand_index_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    one, other = symmetric(rng, 10), symmetric(rng, 10)
    measured = {
        "reference": Matrices(one, noisy(one, rng, 0.01)),
        "other": Matrices(other, noisy(other, rng, 0.01)),
    }
    table = agreement.agreement(measured, 3, 0.95, seed=0).set_index("variant")
    expected = adjusted_rand_score(*(agreement.labels(whole, 3, 0, 500) for whole in (one, other)))
    assert table.loc["other", "rand"] == pytest.approx(expected)


def test_more_images_agree_better():
    found = predictions(np.random.default_rng(5), images=400)
    table = agreement.sample_sizes(found, 100, confidence=0.95, **SCORING)
    assert table["images"].tolist() == [200, 100, 50, 25, 12]
    assert table["spearman"].is_monotonic_decreasing
    assert (table["spearman_low"] <= table["spearman"]).all()


def test_halves_of_equal_images_agree_wholly():
    found = predictions(np.random.default_rng(6), images=1)
    every = {name: np.repeat(classes, 40) for name, classes in found.clean.items()}
    attacked = {way: np.repeat(classes, 40) for way, classes in found.adversarial.items()}
    labels = np.repeat(next(iter(found.clean.values())), 40)
    same = Predictions(found.names, labels, dict.fromkeys(every, labels), attacked)
    table = agreement.sample_sizes(same, 10, confidence=0.95, **SCORING)
    assert table["spearman"].dropna().round(9).isin([1.0]).all()


@given(st.integers(0, 2**31))
def test_areas_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    values, related = rng.integers(0, 5, (3, 20)).astype(float), np.arange(20) < rng.integers(1, 19)
    got = contrast.areas(values, related)
    np.testing.assert_allclose(got, [roc_auc_score(related, row) for row in values])


def test_contrast_of_relatives_with_strangers():
    families = ["a", "a", "b", "b", "c"]
    whole = np.full((5, 5), 2.0)
    whole[0, 1] = whole[1, 0] = np.log(97)
    whole[2, 3] = whole[3, 2] = 3.0
    drawn = whole + np.random.default_rng(0).normal(0, 0.1, (500, 5, 5))
    row = contrast.contrast({"reference": Matrices(whole, drawn)}, families, 0.95).iloc[0]
    assert (row["relatives"], row["strangers"], row["auc"]) == (2, 8, 1)
    assert row["gap"] == pytest.approx((np.log(97) + 3) / 2 - 2)
    assert row["sharpness"] == pytest.approx(row["gap"] / (0.1 * np.sqrt(1 / 2 + 1 / 8)), rel=0.15)
    assert (row["relatives_saturated"], row["strangers_saturated"]) == (0.5, 0)


@pytest.mark.parametrize("families", [["a"] * 4, list("abcd")])
def test_no_contrast_without_relatives_or_strangers(families):
    whole = symmetric(np.random.default_rng(0), 4)
    assert contrast.contrast({"reference": Matrices(whole, whole[None])}, families, 0.95).empty


def test_the_component_that_similarity_follows_is_first():
    rng = np.random.default_rng(7)
    models = pd.DataFrame(
        {"model": [f"m{number}" for number in range(9)], "stem": list("aaabbbccc"), "shared": "x"}
    ).assign(other=list("abcabcabc"))
    same = models["stem"].to_numpy()[:, None] == models["stem"].to_numpy()
    whole = 2.0 * same + np.abs(symmetric(rng, 9)) / 10
    table = contrast.components({"reference": Matrices(whole, whole[None])}, models, list(models["model"]))
    assert set(table["component"]) == {"stem", "other"}
    assert table.set_index("component")["rank"].to_dict() == {"stem": 1, "other": 2}
