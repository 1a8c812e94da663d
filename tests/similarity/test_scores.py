"""Scores against loops over images, closed forms and independent implementations."""

import logging
import math
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sat_exp.similarity import SAT_FLOOR, Predictions, fooled, matrix, model_rates, sat, sat_interval, score
from sat_exp.similarity.scores import indicators

LOG_100 = math.log(100)
COLUMNS = [
    *["model_a", "model_b", "family_a", "family_b", "images", "fooled_ab", "fooled_ba"],
    *["transfer_rate_ab", "transfer_rate_ab_low", "transfer_rate_ab_high"],
    *["transfer_rate_ba", "transfer_rate_ba_low", "transfer_rate_ba_high"],
    *["sat", "sat_low", "sat_high"],
]


def random_predictions(seed, models=3, images=40, classes=4, accuracy=0.7, transfer=0.4):
    """Names, families, labels, clean and adversarial predictions of made-up models."""
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    labels = rng.integers(0, classes, images)

    def predictions(rate):
        return np.where(rng.random(images) < rate, labels, (labels + rng.integers(1, classes, images)) % classes)

    clean = {name: predictions(accuracy) for name in names}
    adversarial = {(a, b): np.where(clean[a] == labels, predictions(1 - transfer), -1) for a in names for b in names}
    return names, {name: f"family of {name}" for name in names}, labels, clean, adversarial


def loop(labels, clean_a, clean_b, ab, ba, floor):
    """|X_AB|, both counts and SAT, an image at a time, as the formula is written."""
    images = fooled_ab = fooled_ba = 0
    for i, label in enumerate(labels):
        if clean_a[i] != label or clean_b[i] != label:
            continue
        images += 1
        fooled_ab += int(ab[i] != label)
        fooled_ba += int(ba[i] != label)
    if images == 0:
        return images, fooled_ab, fooled_ba, math.nan
    return images, fooled_ab, fooled_ba, math.log(max(floor, 100 * (fooled_ab + fooled_ba) / (2 * images)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    models=st.integers(1, 4),
    images=st.integers(1, 30),
    accuracy=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    transfer=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    floor=st.sampled_from([SAT_FLOOR, 1.0, 30.0]),
)
def test_score_is_the_formula_image_by_image(seed, models, images, accuracy, transfer, floor):
    names, families, labels, clean, adversarial = random_predictions(
        seed, models, images, accuracy=accuracy, transfer=transfer
    )
    pairs = score(Predictions(names, labels, clean, adversarial), families, floor=floor)
    assert list(pairs.columns) == COLUMNS
    assert list(zip(pairs.model_a, pairs.model_b, strict=True)) == list(combinations_with_replacement(names, 2))
    for pair in pairs.itertuples():
        a, b = pair.model_a, pair.model_b
        assert (pair.family_a, pair.family_b) == (families[a], families[b])
        n, ab, ba, value = loop(labels, clean[a], clean[b], adversarial[a, b], adversarial[b, a], floor)
        assert (pair.images, pair.fooled_ab, pair.fooled_ba) == (n, ab, ba)
        assert pair.sat == pytest.approx(value, abs=1e-12, nan_ok=True)
        assert pair.transfer_rate_ab == pytest.approx(ab / n if n else math.nan, nan_ok=True)
        assert pair.transfer_rate_ba == pytest.approx(ba / n if n else math.nan, nan_ok=True)
        if n:
            assert math.log(floor) <= pair.sat_low <= pair.sat_high <= LOG_100 + 1e-12
            assert 0 <= pair.transfer_rate_ab_low <= pair.transfer_rate_ab <= pair.transfer_rate_ab_high <= 1
            assert 0 <= pair.transfer_rate_ba_low <= pair.transfer_rate_ba <= pair.transfer_rate_ba_high <= 1
        else:
            assert all(math.isnan(getattr(pair, name)) for name in COLUMNS[7:])


def test_counts_stay_whole_numbers_beside_missing_rates():
    names, families, labels, clean, adversarial = random_predictions(0, accuracy=0.0)
    pairs = score(Predictions(names, labels, clean, adversarial), families)
    assert {str(pairs[name].dtype) for name in ("images", "fooled_ab", "fooled_ba")} == {"int64"}


def test_identical_models_and_a_perfect_attack_are_log_100():
    names, families, labels, clean, _ = random_predictions(1)
    clean = dict.fromkeys(names, clean["m0"])
    fooled = np.where(clean["m0"] == labels, (labels + 1) % 4, -1)
    pairs = score(Predictions(names, labels, clean, {(a, b): fooled for a in names for b in names}), families)
    for column in ("sat", "sat_high"):
        assert pairs[column].to_numpy() == pytest.approx(LOG_100, abs=1e-12)
    assert (pairs["sat_low"] < LOG_100).all()


def test_nothing_transfers_is_the_logarithm_of_the_floor():
    names, families, labels, clean, _ = random_predictions(2)
    stays = {(a, b): np.where(clean[a] == labels, labels, -1) for a in names for b in names}
    for floor in (SAT_FLOOR, 0.5):
        pairs = score(Predictions(names, labels, clean, stays), families, floor=floor)
        assert pairs[["sat", "sat_low"]].to_numpy() == pytest.approx(math.log(floor), abs=1e-12)
        assert (pairs["sat_high"] > math.log(floor)).all()


def test_the_interval_is_that_of_the_images_fooled_both_ways_one_way_or_neither():
    names, families, labels, clean, adversarial = random_predictions(10, models=2, images=80)
    pair = score(Predictions(names, labels, clean, adversarial), families, floor=0.2, confidence=0.9).iloc[1]
    common = (clean["m0"] == labels) & (clean["m1"] == labels)
    times = ((adversarial["m0", "m1"] != labels).astype(int) + (adversarial["m1", "m0"] != labels))[common]
    counts = [int((times == ways).sum()) for ways in (2, 1, 0)]
    assert (pair.sat_low, pair.sat_high) == sat_interval(*counts, floor=0.2, confidence=0.9)
    assert pair.sat_low < pair.sat < pair.sat_high


def test_diagonal_is_the_white_box_success():
    names, families, labels, clean, adversarial = random_predictions(3, images=200)
    pairs = (
        score(Predictions(names, labels, clean, adversarial), families).query("model_a == model_b").set_index("model_a")
    )
    for name in names:
        rates = model_rates(labels, clean[name], adversarial[name, name])
        assert pairs.loc[name, "sat"] == pytest.approx(math.log(100 * rates["white_box_success"]))
        assert pairs.loc[name, "images"] == rates["clean_correct"]
        assert pairs.loc[name, "fooled_ab"] == pairs.loc[name, "fooled_ba"] == rates["fooled"]


def test_a_pair_without_common_images_is_missing_and_named_once(caplog):
    labels = np.array([0, 0, 1, 1])
    clean = {"left": np.array([0, 0, 0, 0]), "right": np.array([1, 1, 1, 1])}
    adversarial = {
        ("left", "left"): np.array([1, 0, -1, -1]),
        ("left", "right"): np.array([1, 1, -1, -1]),
        ("right", "left"): np.array([-1, -1, 0, 0]),
        ("right", "right"): np.array([-1, -1, 1, 0]),
    }
    with caplog.at_level(logging.WARNING):
        pairs = score(Predictions(["left", "right"], labels, clean, adversarial), {"left": "l", "right": "r"})
    assert len(caplog.messages) == 1
    assert "left" in caplog.messages[0]
    assert "right" in caplog.messages[0]
    empty = pairs.iloc[1]
    assert (empty.images, empty.fooled_ab, empty.fooled_ba) == (0, 0, 0)
    assert empty[COLUMNS[7:]].isna().all()
    assert pairs.sat.notna().tolist() == [True, False, True]


def test_a_pair_alone_and_in_any_order_has_the_numbers_of_the_whole_matrix():
    names, families, labels, clean, adversarial = random_predictions(4, models=4, images=100)
    whole = score(Predictions(names, labels, clean, adversarial), families).set_index(["model_a", "model_b"])
    alone = score(Predictions(["m1", "m3"], labels, clean, adversarial), families).set_index(["model_a", "model_b"])
    pd.testing.assert_frame_equal(alone, whole.loc[alone.index])

    turned = score(Predictions(names[::-1], labels, clean, adversarial), families).set_index(["model_b", "model_a"])
    turned.index.names = whole.index.names
    swap = {name: name.translate(str.maketrans("ab", "ba")) for name in ("family_a", "family_b")}
    swap |= {name: name.replace("_ab", "_xx").replace("_ba", "_ab").replace("_xx", "_ba") for name in COLUMNS[5:]}
    swap["family_a"], swap["family_b"] = "family_b", "family_a"
    pd.testing.assert_frame_equal(turned.rename(columns=swap)[whole.columns].loc[whole.index], whole)


def test_order_of_images_changes_nothing():
    names, families, labels, clean, adversarial = random_predictions(5)
    order = np.random.default_rng(0).permutation(labels.size)
    moved = [{key: value[order] for key, value in part.items()} for part in (clean, adversarial)]
    shuffled = score(Predictions(names, labels[order], *moved), families)
    pd.testing.assert_frame_equal(shuffled, score(Predictions(names, labels, clean, adversarial), families))


def test_matrix_is_symmetric_in_the_order_of_the_models():
    names, families, labels, clean, adversarial = random_predictions(6, models=4)
    names = names[::-1]
    pairs = score(Predictions(names, labels, clean, adversarial), families)
    square = matrix(pairs)
    assert list(square.index) == list(square.columns) == names
    np.testing.assert_array_equal(square, square.T)
    for pair in pairs.itertuples():
        assert square.loc[pair.model_a, pair.model_b] == pair.sat
    holed = matrix(pairs.query("model_a == model_b or model_b != 'm0'"))
    assert math.isnan(holed.loc["m0", "m1"])
    assert holed.loc["m1", "m2"] == square.loc["m1", "m2"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda clean, adv: adv["m0", "m1"].__setitem__(slice(None), -1), "m0 → m1: .* no prediction of m1"),
        (lambda clean, adv: adv.update({("m1", "m1"): np.zeros(3, int)}), "broadcast"),
        (lambda clean, adv: clean.update(m0=np.zeros(3, int)), "broadcast"),
    ],
)
def test_incomplete_predictions_are_refused(change, said):
    names, families, labels, clean, adversarial = random_predictions(7, models=2)
    change(clean, adversarial)
    with pytest.raises(ValueError, match=said):
        score(Predictions(names, labels, clean, adversarial), families)


def test_a_direction_that_was_not_measured_is_missing_and_so_is_its_sat():
    names, families, labels, clean, adversarial = random_predictions(7)
    whole = score(Predictions(names, labels, clean, adversarial), families).set_index(["model_a", "model_b"])
    row = {(a, b): predicted for (a, b), predicted in adversarial.items() if a == "m1"}
    pairs = score(Predictions(names, labels, clean, row), families).set_index(["model_a", "model_b"])
    assert list(pairs.index) == [("m0", "m1"), ("m1", "m1"), ("m1", "m2")]
    assert (
        pairs.loc[("m0", "m1"), ["fooled_ab", "transfer_rate_ab", "transfer_rate_ab_low", "sat", "sat_low"]]
        .isna()
        .all()
    )
    for pair, way in ((("m0", "m1"), "ba"), (("m1", "m2"), "ab")):
        columns = [f"fooled_{way}", f"transfer_rate_{way}", f"transfer_rate_{way}_high", "images"]
        assert list(pairs.loc[pair, columns]) == list(whole.loc[pair, columns])
    pd.testing.assert_series_equal(pairs.loc["m1", "m1"], whole.loc["m1", "m1"], check_dtype=False)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), compare=st.sampled_from(["consensus", "own"]))
def test_without_labels_a_changed_prediction_counts(seed, compare):
    """The formula, image by image, with each model's own clean prediction in the place of the label."""
    names, families, _, clean, _ = random_predictions(seed, images=15, models=2)
    rng = np.random.default_rng(seed)
    adversarial = {(a, b): rng.integers(0, 4, 15) for a in names for b in names}
    pairs = score(Predictions(names, None, clean, adversarial), families, compare=compare)
    pair = pairs.query("model_a != model_b").iloc[0]
    a, b = clean["m0"], clean["m1"]
    chosen = [i for i in range(15) if compare == "own" or a[i] == b[i]]
    assert pair.images == len(chosen)
    assert pair.fooled_ab == sum(adversarial["m0", "m1"][i] != b[i] for i in chosen)
    assert pair.fooled_ba == sum(adversarial["m1", "m0"][i] != a[i] for i in chosen)
    if compare == "consensus":
        by_label = {key: np.where(a == b, value, -1) for key, value in adversarial.items()}
        labelled = score(Predictions(names, np.where(a == b, a, -2), clean, by_label), families)
        pd.testing.assert_frame_equal(pairs.query("model_a != model_b"), labelled.query("model_a != model_b"))


def test_rates_of_a_model_without_labels_and_of_one_that_was_only_a_target():
    clean, white_box = np.array([0, 1, 2, 3]), np.array([1, 1, 0, 0])
    unlabelled = model_rates(None, clean, white_box)
    assert (unlabelled["attacked"], unlabelled["fooled"], unlabelled["white_box_success"]) == (4, 3, 0.75)
    assert all(math.isnan(unlabelled[name]) for name in ("clean_correct", "clean_accuracy", "clean_accuracy_low"))
    target = model_rates(clean, clean, None)
    assert (target["clean_accuracy"], target["attacked"], target["weak_attack"]) == (1.0, 0, False)
    assert math.isnan(target["white_box_success"])


def test_one_missing_attacked_image_is_refused():
    names, families, labels, clean, adversarial = random_predictions(8, models=2)
    first = np.flatnonzero(clean["m0"] == labels)[0]
    adversarial["m0", "m0"][first] = -1
    with pytest.raises(ValueError, match="m0 → m0: 1 attacked"):
        score(Predictions(names, labels, clean, adversarial), families)


def test_sat_takes_arrays_and_a_single_count():
    np.testing.assert_allclose(
        sat([4, 4, 0, 4], [4, 1, 0, 0], [4, 1, 0, 0]), [LOG_100, math.log(25), math.nan, math.log(SAT_FLOOR)]
    )
    assert float(sat(10, 3, 4)) == pytest.approx(math.log(35))


def test_default_floor_never_acts_above_one_fooled_prediction_in_5000_images():
    assert float(sat(5000, 1, 0)) == pytest.approx(math.log(SAT_FLOOR))
    assert float(sat(5000, 1, 1)) > math.log(SAT_FLOOR)


def test_model_rates():
    labels = np.arange(200) % 10
    clean = np.where(np.arange(200) < 160, labels, (labels + 1) % 10)
    white_box = np.where(np.arange(200) < 157, (labels + 1) % 10, labels)
    white_box[160:] = -1
    rates = model_rates(labels, clean, white_box)
    assert (rates["images"], rates["clean_correct"], rates["attacked"], rates["fooled"]) == (200, 160, 160, 157)
    assert rates["clean_accuracy"] == 0.8
    assert rates["white_box_success"] == 157 / 160
    for name, k, n in (("clean_accuracy", 160, 200), ("white_box_success", 157, 160)):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert (rates[f"{name}_low"], rates[f"{name}_high"]) == pytest.approx((expected.low, expected.high))
    assert rates["weak_attack"] is True
    white_box[:160] = (labels[:160] + 1) % 10
    assert model_rates(labels, clean, white_box)["weak_attack"] is False


def test_a_model_that_gets_nothing_right_was_not_attacked_weakly():
    rates = model_rates(np.zeros(5, int), np.ones(5, int), np.full(5, -1))
    assert rates["attacked"] == 0
    assert rates["clean_accuracy"] == 0
    assert math.isnan(rates["white_box_success"])
    assert math.isnan(rates["white_box_success_low"])
    assert rates["weak_attack"] is False


def test_fooled_by_a_targeted_attack_is_led_to_the_goal():
    clean, goals = np.array([0, 0, 0, 2, 2]), np.array([1, 1, 1, 2, 2])
    predicted = np.array([1, 2, 0, 2, 1])
    assert fooled(predicted, clean).tolist() == [True, True, False, False, True]
    assert fooled(predicted, clean, goals).tolist() == [True, False, False, False, False]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), compare=st.sampled_from(["truth", "consensus", "own"]))
def test_scores_of_a_targeted_attack_are_the_formula_image_by_image(seed, compare):
    names, families, labels, clean, adversarial = random_predictions(seed, images=30, models=2)
    rng = np.random.default_rng(seed)
    if compare != "truth":
        adversarial = {way: rng.integers(0, 4, 30) for way in adversarial}
    goals = {name: np.where(adversarial[name, name] < 0, -1, (clean[name] + 1) % 4) for name in names}
    known = Predictions(names, labels, clean, adversarial, goals=goals)
    pair = score(known, families, compare=compare).iloc[1]
    a, b = clean["m0"], clean["m1"]
    inside = {"truth": (a == labels) & (b == labels), "consensus": a == b, "own": np.ones(30, bool)}[compare]
    expected = {
        way: sum(adversarial[source, target][i] == goals[source][i] != clean[target][i] for i in np.flatnonzero(inside))
        for way, source, target in (("ab", "m0", "m1"), ("ba", "m1", "m0"))
    }
    assert (pair.images, pair.fooled_ab, pair.fooled_ba) == (inside.sum(), expected["ab"], expected["ba"])
    rates = model_rates(labels, a, adversarial["m0", "m0"], goals=goals["m0"])
    attacked = adversarial["m0", "m0"] >= 0
    assert rates["attacked"] == attacked.sum()
    assert rates["fooled"] == (adversarial["m0", "m0"] == goals["m0"])[attacked].sum()
    pairs, _, counts = indicators(known, compare=compare)
    assert counts[pairs.tolist().index([0, 1])].sum() == expected["ab"] + expected["ba"]
