"""Agreement of clean predictions against scikit-learn, statsmodels, a loop over images and closed forms."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from sat_exp.similarity import wilson_interval
from sat_exp.similarity.agreement import MEASURES, agreement, kappa, kappa_interval


def predictions(seed, models=4, images=60, classes=4, accuracy=0.7):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    wrong = (labels + rng.integers(1, classes, (models, images))) % classes
    answers = np.where(rng.random((models, images)) < accuracy, labels, wrong)
    return [f"m{i}" for i in range(models)], labels, {f"m{i}": row for i, row in enumerate(answers)}


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    models=st.integers(2, 5),
    images=st.integers(1, 40),
    accuracy=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
)
def test_measures_are_a_loop_over_images_and_scikit_learns_kappa(seed, models, images, accuracy):
    names, labels, clean = predictions(seed, models, images, accuracy=accuracy)
    table = agreement(names, labels, clean)
    assert list(zip(table["model_a"], table["model_b"], strict=True)) == list(combinations(names, 2))
    for row in table.itertuples():
        a, b = clean[row.model_a], clean[row.model_b]
        wrong = [(x, y) for x, y, label in zip(a, b, labels, strict=True) if x != label and y != label]
        one = sum((x == label) != (y == label) for x, y, label in zip(a, b, labels, strict=True))
        assert row.images == images
        assert row.accuracy_a == pytest.approx(np.mean(a == labels))
        assert row.accuracy_gap == pytest.approx(abs(row.accuracy_a - row.accuracy_b))
        assert row.accuracy_mean == pytest.approx((row.accuracy_a + row.accuracy_b) / 2)
        assert row.agreement == pytest.approx(sum(x == y for x, y in zip(a, b, strict=True)) / images)
        assert row.error_overlap == pytest.approx(len(wrong) / images)
        assert row.disagreement == pytest.approx(one / images)
        same = sum(x == y for x, y in wrong) / len(wrong) if wrong else math.nan
        assert row.same_error == pytest.approx(same, nan_ok=True)
        all_alike = len({*(a == labels), *(b == labels)}) == 1
        expected = math.nan if all_alike else cohen_kappa_score(a == labels, b == labels)
        assert row.error_consistency == pytest.approx(expected, nan_ok=True)
        for measure in MEASURES:
            low, value, high = (getattr(row, measure + end) for end in ("_low", "", "_high"))
            assert math.isnan(value) or low <= value <= high


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 50), min_size=4, max_size=4))
def test_the_error_of_kappa_is_statsmodels(counts):
    both, first, second, neither = counts
    expected = cohens_kappa([[both, first], [second, neither]])
    images = sum(counts)
    value, error = kappa(*(np.array([count / images]) for count in counts), images)
    assert value.item() == pytest.approx(expected.kappa)
    assert error.item() == pytest.approx(expected.std_kappa)


@pytest.mark.parametrize("images", [20, 50, 300])
@pytest.mark.parametrize(("a", "b"), [(0.8, 0.8), (0.95, 0.9), (0.5, 0.5)])
@pytest.mark.parametrize("truth", [0.0, 0.3, 0.6])
def test_intervals_cover_the_kappa_of_the_population(truth, a, b, images):
    """4,000 draws each. The large-sample interval covers in 35 to 95% of them."""
    chance = a * b + (1 - a) * (1 - b)
    both = (a + b - 1 + chance + truth * (1 - chance)) / 2
    shares = np.array([both, a - both, b - both, 1 - a - b + both])
    counts = np.random.default_rng(0).multinomial(images, shares, size=4000).astype(float)
    low, high = kappa_interval(*counts.T)
    known = np.isfinite(low)
    assert ((low <= truth) & (truth <= high))[known].mean() >= 0.93


def test_intervals_cover_a_kappa_near_1():
    """The large-sample interval covers in 46% of 4,000 draws of 20 images of two models that are right on 0.8."""
    counts = np.random.default_rng(0).multinomial(20, [0.784, 0.016, 0.016, 0.184], size=4000).astype(float)
    low, high = kappa_interval(*counts.T)
    assert ((low <= 0.9) & (high >= 0.9))[np.isfinite(low)].mean() >= 0.93


def test_models_that_never_differ_are_not_known_to_be_consistent_without_error():
    low, high = kappa_interval(*np.array([[15.0], [0.0], [0.0], [5.0]]))
    assert high.item() == 1
    assert 0.5 < low.item() < 0.9
    assert np.isnan(kappa_interval(*np.array([[20.0], [0.0], [0.0], [0.0]]))).all()


def test_twins_are_fully_consistent_and_strangers_are_not():
    _, labels, clean = predictions(0, 1, 4000)
    right = clean["m0"] == labels
    opposite = np.where(right, (labels + 1) % 4, labels)
    stranger = predictions(1, 1, 4000)[2]["m0"]
    stranger = np.where(np.random.default_rng(2).random(4000) < 0.7, labels, (stranger + 9) % 4)
    twins = agreement(["a", "b"], labels, {"a": clean["m0"], "b": clean["m0"]}).iloc[0]
    assert twins[["agreement", "error_consistency", "same_error", "disagreement"]].tolist() == [1, 1, 1, 0]
    assert twins["error_overlap"] == pytest.approx(1 - right.mean())
    others = agreement(["a", "b"], labels, {"a": clean["m0"], "b": stranger}).iloc[0]
    assert others["error_consistency_low"] < 0 < others["error_consistency_high"]
    never = agreement(["a", "b"], labels, {"a": clean["m0"], "b": opposite}).iloc[0]
    accuracy = right.mean()
    expected = 2 * accuracy * (1 - accuracy)
    assert never["error_consistency"] == pytest.approx(-expected / (1 - expected))
    assert never[["agreement", "error_overlap", "disagreement"]].tolist() == [0, 0, 1]


def test_shares_have_wilsons_intervals():
    names, labels, clean = predictions(3)
    table = agreement(names, labels, clean, confidence=0.9)
    low, high = wilson_interval(table["disagreement"] * 60, 60, 0.9)
    assert table["disagreement_low"].to_numpy() == pytest.approx(low)
    assert table["disagreement_high"].to_numpy() == pytest.approx(high)


def test_which_model_is_called_a_and_the_order_of_images_do_not_matter():
    names, labels, clean = predictions(4, 2)
    order = np.random.default_rng(0).permutation(60)
    one = agreement(names, labels, clean).iloc[0]
    other = agreement(names[::-1], labels[order], {name: row[order] for name, row in clean.items()}).iloc[0]
    for measure in MEASURES:
        for end in ("", "_low", "_high"):
            assert one[measure + end] == pytest.approx(other[measure + end])


def test_without_labels_there_is_only_agreement():
    names, _, clean = predictions(5)
    table = agreement(names, None, clean)
    assert table["agreement"].notna().all()
    assert table[["error_consistency", "error_overlap", "disagreement", "same_error", "accuracy_mean"]].isna().all(None)
    with pytest.raises(ValueError, match="broadcast"):
        agreement(names, np.zeros(3), clean)
