"""Draws of images: repeated images, the spread of draws against intervals, and the same draws for all pairs."""

import math

import numpy as np
import pytest

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity import Predictions, score
from sat_exp.similarity.draws import resampled, weighted

from ..statistics.planted import predicted


@pytest.mark.parametrize("compare", ["truth", "consensus", "own"])
@pytest.mark.parametrize("other_pixels", [False, True])
def test_weighted_images_are_repeated_images(compare, other_pixels):
    names, labels, clean, adversarial = predicted([0, 0, 1], images=60)
    adversarial = {  # a source that was attacked where it was right
        (source, target): np.where((clean[source] == labels) | (compare != "truth"), found, -1)
        for (source, target), found in adversarial.items()
    }
    reference = {}
    if other_pixels:
        rng = np.random.default_rng(2)
        reference = {way: np.where(rng.random(60) < 0.9, clean[way[1]], (clean[way[1]] + 1) % 5) for way in adversarial}
    weights = np.vstack([np.ones(60, int), np.random.default_rng(1).integers(0, 4, (3, 60))])
    found = weighted(Predictions(names, labels, clean, adversarial, reference), weights, compare=compare)
    for sat, times in zip(found, weights, strict=True):

        def again(values, times=times):
            return {key: np.repeat(value, times) for key, value in values.items()}

        repeated = Predictions(names, np.repeat(labels, times), again(clean), again(adversarial), again(reference))
        expected = score(repeated, dict.fromkeys(names, ""), compare=compare)
        np.testing.assert_allclose(sat, similarity.matrix(expected), atol=1e-5)


def test_resampled_matrices_spread_as_the_intervals_of_pairs_do():
    names, labels, clean, adversarial = predicted([0, 0, 1], images=500)
    draws = np.stack([*resampled(Predictions(names, labels, clean, adversarial), resamples=2000)])
    pairs = score(Predictions(names, labels, clean, adversarial), dict.fromkeys(names, ""))
    pairs = pairs[pairs["model_a"] != pairs["model_b"]]
    for pair in pairs.itertuples():
        spread = draws[:, names.index(pair.model_a), names.index(pair.model_b)]
        assert np.quantile(spread, [0.025, 0.975]) == pytest.approx([pair.sat_low, pair.sat_high], abs=0.02)


@pytest.mark.parametrize("hits", ["none", "all"])
def test_resamples_of_pairs_without_a_hit_or_a_miss_spread_as_far_as_their_intervals(hits):
    names, labels, clean, adversarial = predicted([0, 0, 1], images=300)
    for (source, target), said in adversarial.items():
        other = (labels + 1) % 5 if hits == "all" else labels
        adversarial[source, target] = np.where(said >= 0, other, -1)
    draws = np.stack([*resampled(Predictions(names, labels, clean, adversarial), resamples=1000)])[:, 0, 1]
    pair = score(Predictions(names, labels, clean, adversarial), dict.fromkeys(names, "")).iloc[1]
    assert np.ptp(draws) > 0
    low, high = np.exp(np.quantile(draws, [0.025, 0.975]))
    if hits == "none":
        assert high == pytest.approx(math.exp(pair.sat_high), rel=0.35)
    else:
        assert 100 - low == pytest.approx(100 - math.exp(pair.sat_low), rel=0.35)


def test_a_resample_has_the_same_images_for_all_pairs():
    """Two names for one model have the same SAT with any third, whatever is drawn."""
    names, labels, clean, adversarial = predicted([0, 1, 2], images=50)
    names.append("twin")
    clean["twin"] = clean["m0"]
    for other in [*names]:
        adversarial["twin", other] = adversarial["m0", "m0" if other == "twin" else other]
        adversarial[other, "twin"] = adversarial["m0" if other == "twin" else other, "m0"]
    for draw in resampled(Predictions(names, labels, clean, adversarial), resamples=20):
        np.testing.assert_array_equal(draw.loc["m0", ["m1", "m2"]], draw.loc["twin", ["m1", "m2"]])
    first, second = (next(resampled(Predictions(names, labels, clean, adversarial), seed=seed)) for seed in (0, 1))
    assert not first.equals(second)
    assert first.equals(next(resampled(Predictions(names, labels, clean, adversarial))))


def test_a_pair_measured_one_way_cannot_be_resampled():
    names, labels, clean, adversarial = predicted([0, 1])
    del adversarial["m1", "m0"]
    with pytest.raises(UserError, match="no SAT of m0 and m1: measure every pair"):
        next(resampled(Predictions(names, labels, clean, adversarial)))
