"""Counts of errors against the sum over every class, in integers and in float64, and ties."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from sat_exp.ensembles import contests
from sat_exp.ensembles.members import members_of, ranks
from sat_exp.errors import UserError

from .synthetic import every


def added_up(logits, labels, members, average):
    """How many images each ensemble gets wrong when all classes are added and the largest is taken."""
    summed = contests.scores(logits, average).astype(np.int64)
    return np.array([(summed[row].sum(axis=0).argmax(axis=1) != labels).sum() for row in members])


def networks(rng, models, images, classes, spread):
    """Logits of networks that are right for most images, and wrong on the same few."""
    labels = rng.integers(0, classes, images)
    shared = rng.normal(0, 1, (images, classes))
    logits = spread * (shared + rng.normal(0, 0.7, (models, images, classes)))
    logits[:, np.arange(images), labels] += spread * rng.normal(2, 1.5, images)
    return logits.astype(np.float32), labels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    models=st.integers(2, 8),
    size=st.integers(2, 5),
    classes=st.integers(2, 12),
    spread=st.sampled_from([0.0, 0.3, 2.0, 20.0]),
    average=st.sampled_from(get_args(contests.Average)),
    levels=st.sampled_from([None, 2, 5]),
)
def test_counts_are_those_of_adding_up_every_class(seed, models, size, classes, spread, average, levels):
    """`levels` makes logits of a few values, so that ties abound."""
    size = min(size, models)
    logits, labels = networks(np.random.default_rng(seed), models, 30, classes, spread)
    if levels:
        logits = np.round(logits * levels / max(1, np.abs(logits).max()))
    blocks = [(logits[:, part], labels[part]) for part in (slice(0, 11), slice(11, 30))]
    result, members = contests.contests(blocks, average), every(models, size)
    assert (contests.count_errors(result, members) == added_up(logits, labels, members, average)).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(2, 5))
def test_samples_and_parts_of_the_images_are_counted_alike(seed, size):
    rng = np.random.default_rng(seed)
    logits, labels = networks(rng, 12, 40, 6, 1.0)
    result = contests.contests([(logits, labels)])
    at = ranks(12, size, 50, seed=seed)
    members = members_of(12, size, at)
    assert (contests.count_errors(result, members) == contests.count_errors(result, every(12, size))[at]).all()
    half = rng.random(40) < 0.5
    expected = added_up(logits[:, half], labels[half], members, "probabilities")
    assert (contests.count_errors(result.subset(half), members) == expected).all()


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_whole_steps_give_the_counts_of_float64(average):
    logits, labels = networks(np.random.default_rng(0), 9, 400, 10, 1.5)
    members = every(9, 4)
    summed = softmax(logits.astype(np.float64), axis=-1) if average == "probabilities" else logits.astype(np.float64)
    expected = [(summed[row].mean(axis=0).argmax(axis=1) != labels).sum() for row in members]
    assert (contests.count_errors(contests.contests([(logits, labels)], average), members) == expected).all()


def test_a_tie_goes_to_the_lowest_class():
    """Three networks with one vote each; and two probabilities of one half."""
    votes = np.array([[[0, 5, 0]], [[0, 0, 5]], [[5, 0, 0]]], np.float32)
    for label, wrong in ((0, [1, 0, 0]), (1, [0, 1, 1]), (2, [1, 1, 1])):
        result = contests.contests([(votes, np.array([label]))], "votes")
        assert contests.count_errors(result, np.array([[0, 1], [0, 2], [1, 2]])).tolist() == wrong
    even = np.zeros((2, 2, 2), np.float32)
    result = contests.contests([(even, np.array([0, 1]))])
    assert contests.count_errors(result, np.array([[0, 1]])).tolist() == [1]


def test_contests_that_cannot_matter_are_left_out():
    """Few contests remain of 200 classes on images that most networks get right."""
    logits, labels = networks(np.random.default_rng(1), 10, 200, 200, 1.0)
    logits[:, np.arange(200), labels] += 2
    result = contests.contests([(logits, labels)])
    assert 0 < len(result.tie) < 0.05 * 200 * 200
    right = logits.argmax(axis=2) == labels
    assert set(result.image).isdisjoint(result.lost)
    assert right.all(axis=0)[np.setdiff1d(np.arange(200), np.r_[result.image, result.lost])].all()
    assert not right.all(axis=0)[result.image].any()


def test_images_that_all_members_get_wrong():
    right = np.random.default_rng(2).random((7, 131)) < 0.6
    for size in (2, 3, 5):
        members = every(7, size)
        expected = [(~right[list(row)]).all(axis=0).sum() for row in combinations(range(7), size)]
        assert contests.count_common_errors(right, members).tolist() == expected


def test_logits_too_far_apart_are_refused():
    logits = np.array([[[0, 400]], [[0, 1]]], np.float32)
    with pytest.raises(UserError, match=r"logits of one image are 400 apart.*task\.average=probabilities"):
        contests.contests([(logits, np.array([0]))], "logits")
