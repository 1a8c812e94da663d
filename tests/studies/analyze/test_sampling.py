"""Stability of ranks: the score of a subset of images, closed forms for its error, and the limiting cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from sat_exp.errors import UserError
from sat_exp.similarity import Predictions, score
from sat_exp.similarity.scores import indicators, weighted_sat
from sat_exp.studies.analyze.images import grid, rank_stability


def predictions(seed, models=5, images=80, accuracy=0.8, rates=None):
    """Predictions in which each direction has a transfer rate of its own."""
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    labels = rng.integers(0, 10, images)
    clean = {name: np.where(rng.random(images) < accuracy, labels, (labels + 1) % 10) for name in names}
    if rates is None:
        rates = rng.uniform(0.1, 0.9, (models, models))
    adversarial = {
        (a, b): np.where(
            clean[a] == labels, np.where(rng.random(images) < rates[i, j], (labels + 2) % 10, clean[b]), -1
        )
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    }
    return Predictions(names, labels, clean, adversarial)


def values(table, column="value"):
    return table.pivot(index="images", columns="measure", values=column)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    images=st.integers(3, 40),
    compare=st.sampled_from(["truth", "consensus", "own"]),
    own_pixels=st.booleans(),
)
def test_scores_of_a_subset_are_those_of_its_predictions(seed, images, compare, own_pixels):
    known = predictions(seed, images=images, accuracy=0.9)
    if compare != "truth":
        known = replace(known, adversarial={way: np.where(row < 0, 3, row) for way, row in known.adversarial.items()})
    rng = np.random.default_rng(seed)
    if own_pixels:
        other = {(a, b): np.where(rng.random(images) < 0.1, 5, known.clean[b]) for a, b in known.adversarial}
        known = replace(known, reference=other)
    names = known.names
    chosen = rng.random((3, images)) < 0.7
    chosen[:, 0] = True
    pairs, common, fooled = indicators(known, compare=compare)
    found = weighted_sat(common, fooled, chosen)
    for row, take in zip(found, chosen, strict=True):
        parts = [
            {key: row[take] for key, row in part.items()} for part in (known.clean, known.adversarial, known.reference)
        ]
        table = score(Predictions(names, known.labels[take], *parts), dict.fromkeys(names, ""), compare=compare)
        assert [(names[i], names[j]) for i, j in pairs] == list(zip(table["model_a"], table["model_b"], strict=True))
        assert row == pytest.approx(table["sat"].to_numpy(), nan_ok=True)


def test_all_images_say_the_same_as_all_images():
    table = values(rank_stability(predictions(0), [20, 40, 80], repeats=5))
    assert table.loc[80, ["spearman", "kendall", "same_nearest"]].tolist() == pytest.approx([1, 1, 1])
    assert table.loc[80, ["mean_absolute_error", "missing"]].tolist() == [0, 0]
    assert table["spearman_disjoint"].notna().tolist() == [True, True, False]
    one = values(rank_stability(predictions(0), [20], repeats=1))
    pairs, common, fooled = indicators(predictions(0))
    apart = pairs[:, 0] != pairs[:, 1]
    order = np.random.default_rng(0).permutation(80)
    part, whole = weighted_sat(common[apart], fooled[apart], np.array([order < 20, order < 80]))
    assert one.loc[20, "spearman"] == pytest.approx(spearmanr(part, whole).statistic)
    assert one.loc[20, "kendall"] == pytest.approx(kendalltau(part, whole).statistic)
    assert one.loc[20, "mean_absolute_error"] == pytest.approx(np.abs(part - whole).mean())


def test_the_error_is_that_of_a_sample_without_replacement():
    """Every image common and every rate ½: SAT's error is that of the mean of n among N of (fooled ways)/2, over ½."""
    images, size = 4000, 400
    made = predictions(1, 12, images, accuracy=1.1, rates=np.full((12, 12), 0.5))
    table = rank_stability(made, [size], repeats=20)
    deviation = math.sqrt(0.125 / size * (1 - size / images)) / 0.5
    found = values(table).loc[size, "mean_absolute_error"]
    assert found == pytest.approx(deviation * math.sqrt(2 / math.pi), rel=0.06)


def test_disjoint_draws_of_noise_have_nothing_in_common_though_each_is_part_of_the_whole():
    made = predictions(2, 12, 2000, accuracy=1.1, rates=np.full((12, 12), 0.5))
    table = values(rank_stability(made, [100, 1000], repeats=40))
    assert table.loc[1000, "spearman"] > 0.6  # √½ for half of the images
    assert (table["spearman_disjoint"].abs() < 0.15).all()


def test_more_images_are_better():
    table = values(rank_stability(predictions(3, 10, 2000), repeats=30))
    assert table.index.tolist() == [10, 20, 50, 100, 200, 500, 1000, 2000]
    for measure in ("spearman", "kendall"):
        assert table[measure].is_monotonic_increasing
    assert table["mean_absolute_error"].is_monotonic_decreasing
    assert table["spearman_disjoint"].iloc[:-1].is_monotonic_increasing


def test_intervals_hold_the_repeats_and_the_seed_decides():
    table = rank_stability(predictions(4), [20], repeats=50, seed=1)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert (table["repeats"] == 50).all()
    assert table.equals(rank_stability(predictions(4), [20], repeats=50, seed=1))
    assert not table.equals(rank_stability(predictions(4), [20], repeats=50, seed=2))


def test_pairs_without_a_common_image_are_missing():
    table = rank_stability(predictions(5, images=40, accuracy=0.5), [1, 40], repeats=30)
    shares = values(table)
    assert 0.7 < shares.loc[1, "missing"] < 1
    assert shares.loc[40, "missing"] == 0
    assert values(table, "repeats").loc[1, "spearman"] < 30


def test_labels_are_not_needed():
    table = values(rank_stability(replace(predictions(6, accuracy=1.1), labels=None), [80], repeats=2, compare="own"))
    assert table.loc[80, "spearman"] == pytest.approx(1)


def test_what_cannot_be_done_is_said():
    known = predictions(7)
    one_way = {pair: row for pair, row in known.adversarial.items() if pair[0] == "m0"}
    with pytest.raises(UserError, match=r"^0 pairs are measured both ways, where 3 are needed: measure more models$"):
        rank_stability(replace(known, adversarial=one_way))
    broken = {**known.adversarial, ("m1", "m2"): np.full(80, -1)}
    with pytest.raises(ValueError, match="m1 → m2"):
        rank_stability(replace(known, adversarial=broken))


def test_the_grid_ends_with_all():
    assert grid(100) == [10, 20, 50, 100]
    assert grid(128) == [10, 20, 50, 100, 128]
    assert grid(7) == [7]
