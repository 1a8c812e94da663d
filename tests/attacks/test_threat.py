"""The threat model: its description in words, its budget, and the goal classes of targeted attacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.attacks import L2PGD, PGD, Noise, TargetedPGD, Threat, described
from sat_exp.attacks.random import image_seeds

POLICIES = ["random", "least_likely", "next"]


def seeds(count: int, run: int = 0) -> np.ndarray:
    return image_seeds(run, [str(index) for index in range(count)])


@pytest.mark.parametrize(
    ("threat", "words"),
    [
        (PGD(8).threat, "L∞ ≤ 8/255"),
        (Noise(16).threat, "L∞ ≤ 16/255"),
        (L2PGD(127.5).threat, "L2 ≤ 127.5/255"),
        (TargetedPGD(8).threat, "L∞ ≤ 8/255, targeted at a random class"),
        (TargetedPGD(8, goal="least_likely").threat, "L∞ ≤ 8/255, targeted at the least likely class"),
        (Threat("l2", 765, "next"), "L2 ≤ 765/255, targeted at the next class"),
    ],
)
def test_words(threat, words):
    assert str(threat) == words


def test_a_summary_holds_the_settings_and_the_threat_model():
    assert described(TargetedPGD(8, goal="next")) == {
        "name": "targetedpgd",
        "title": "TargetedPGD",
        "epsilon": 8,
        "step_size": 1,
        "steps": 50,
        "random_start": True,
        "goal": "next",
        "threat": {"norm": "linf", "epsilon": 8, "goal": "next", "text": "L∞ ≤ 8/255, targeted at the next class"},
    }


def test_the_budget_is_held_to_the_last_unit():
    clean = np.full((1, 1, 1, 2), 100, np.uint8)
    for change, linf, l2 in [((3, 4), 4, 5), ((-3, 4), 4, 5), ((0, -4), 4, 4)]:
        changed = (clean.astype(int) + change).astype(np.uint8)
        for norm, size in (("linf", linf), ("l2", l2)):
            assert Threat(norm, size).allows(clean, changed).tolist() == [True]
            assert Threat(norm, size - 0.01).allows(clean, changed).tolist() == [False]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), classes=st.integers(2, 6), policy=st.sampled_from(POLICIES), ties=st.booleans())
def test_the_goal_is_another_class_than_the_predicted_one(seed, classes, policy, ties):
    logits = np.random.default_rng(seed).normal(size=(20, classes)).astype(np.float32) * (not ties)
    goals = Threat("linf", 8, policy).goals(logits, seeds(20, seed))
    assert goals.dtype == np.int64
    assert ((goals >= 0) & (goals < classes)).all()
    assert (goals != logits.argmax(axis=1)).all()


def test_the_policies():
    logits = np.array([[3, 1, 2], [0, 1, 9]], np.float32)
    assert Threat("linf", 8, "next").goals(logits, seeds(2)).tolist() == [1, 0]
    assert Threat("linf", 8, "least_likely").goals(logits, seeds(2)).tolist() == [1, 0]
    many = np.tile(np.eye(5, dtype=np.float32)[2], (4000, 1))
    counts = np.bincount(Threat("linf", 8, "random").goals(many, seeds(4000)), minlength=5)
    assert counts[2] == 0
    assert (abs(counts[[0, 1, 3, 4]] - 1000) < 130).all()


def test_a_random_goal_follows_from_the_seed_of_the_image_alone():
    """Neither the order of the images nor the model matters, where the prediction is the same."""
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 10, 50)
    first, second = (np.eye(10)[predicted] * 5 + rng.random((50, 10)) for _ in range(2))
    threat = Threat("linf", 8, "random")
    goals = threat.goals(first, seeds(50))
    order = rng.permutation(50)
    assert threat.goals(second[order], seeds(50)[order]).tolist() == goals[order].tolist()
    assert (threat.goals(first, seeds(50, run=1)) != goals).any()
