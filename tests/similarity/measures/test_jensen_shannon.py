"""The overlap of probabilities against SciPy's distance and closed forms."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from sat_exp.similarity.measures import jensen_shannon
from sat_exp.similarity.measures.jensen_shannon import measure, prepare


def logits(seed, images=50, classes=7, scale=3.0):
    return (scale * np.random.default_rng(seed).normal(size=(images, classes))).astype(np.float32)


def similarity(a, b):
    return jensen_shannon.similarity(prepare(a), prepare(b))


def value(a, b, confidence=0.95):
    return measure().value(a, b, None, confidence)


def test_each_image_has_scipys_divergence():
    a, b = logits(0), logits(1)
    distance = jensenshannon(softmax(a.astype(float), axis=1), softmax(b.astype(float), axis=1), base=2, axis=1)
    assert similarity(a, b) == pytest.approx(1 - distance**2)


def test_certain_and_different_answers_are_0_equal_ones_1():
    one, other = np.float32([[500, 0, 0]]), np.float32([[0, 500, 0]])
    assert similarity(one, other) == pytest.approx([0])
    assert similarity(one, one) == pytest.approx([1])
    even, sure = np.float32([[0, 0]]), np.float32([[500, 0]])
    half = 1 - (0.5 * np.log2(4 / 3) + 0.25 * np.log2(2 / 3) + 0.25 * np.log2(2))
    assert similarity(even, sure) == pytest.approx([half])


def test_a_constant_added_to_logits_changes_nothing():
    a, b = logits(2), logits(3)
    assert similarity(a + 5, b - 7) == pytest.approx(similarity(a, b), abs=1e-5)


def test_blocks_of_images_do_not_change_the_value(monkeypatch):
    a, b = logits(4), logits(5)
    whole = value(a, b)
    monkeypatch.setattr(jensen_shannon, "BLOCK", 7)
    assert value(a, b) == pytest.approx(whole)


def test_the_interval_holds_the_mean_of_many_images_as_often_as_stated():
    a, b = logits(6, images=20_000), logits(7, images=20_000)
    truth = similarity(a, b).mean()
    draws = np.random.default_rng(0).integers(0, len(a), (400, 100))
    ends = np.array([value(a[rows], b[rows], 0.9)[1:] for rows in draws])
    assert 0.85 < np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) < 0.95


def test_models_of_different_classes_have_no_value():
    assert np.isnan(value(logits(0), logits(1, classes=6))).all()
