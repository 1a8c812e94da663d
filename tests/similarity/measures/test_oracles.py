"""Measures against libraries and closed forms, and what must not change them."""

import numpy as np
import pytest
import torch
from ckatorch.core import cka_base
from ckatorch.hsic import hsic0, hsic1
from lmsim.metrics import CAPA, EC
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist
from scipy.special import softmax
from scipy.stats import ortho_group, spearmanr
from sklearn.neighbors import NearestNeighbors

from sat_exp.similarity.measures import (
    boundaries,
    capa,
    cka,
    clean_predictions,
    gradient_cosine,
    neighbours,
    procrustes,
    rsa,
    top_classes,
)
from sat_exp.similarity.over_images import samples

IMAGES = 60


def drawn(seed, columns, images=IMAGES):
    return np.random.default_rng(seed).normal(size=(images, columns)).astype(np.float32)


def alike(columns=(9, 14)):
    """Features of two models that have something in common."""
    common = drawn(0, 5)
    return tuple(common @ drawn(seed, width, 5) + drawn(10 + seed, width) for seed, width in enumerate(columns, 1))


def value(measure, a, b, labels=None):
    found = measure.value(a, b, labels, 0.95)
    assert not np.isfinite(found[0]) or found[1] <= found[0] <= found[2]
    return found[0]


OF_FEATURES = {
    "cka": cka.measure(debiased=False, images=1000),
    "debiased_cka": cka.measure(debiased=True, images=1000),
    "procrustes": procrustes.measure(images=1000),
    "jaccard": neighbours.measure("jaccard", 7, 1000),
    "share": neighbours.measure("share", 7, 1000),
    "rsa": rsa.measure(images=1000),
}


@pytest.mark.parametrize("seed", range(3))
def test_capa_and_error_consistency_are_those_of_lm_sim(seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 6, IMAGES)
    a, b = (2 * generator.normal(size=(2, IMAGES, 6)) + 3 * np.eye(6)[labels]).astype(np.float32)
    p, q = (softmax(each.astype(float), axis=1) for each in (a, b))
    assert value(capa.measure(), a, b, labels) == pytest.approx(CAPA().compute_k([*p], [*q], [*labels]), abs=1e-12)
    own = clean_predictions.measure("error_consistency")
    theirs = EC().compute_k([*p], [*q], [*labels])
    assert value(own, a.argmax(axis=1), b.argmax(axis=1), labels) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_is_that_of_ckatorch(debiased):
    a, b = alike()
    x, y = (torch.from_numpy(each.astype(np.float64)) for each in (a, b))
    theirs = float(cka_base(x, y, kernel="linear", unbiased=debiased, method="fro_norm"))
    assert value(cka.measure(debiased, 1000), a, b) == pytest.approx(theirs, abs=1e-9)
    grams = [(each @ each.T)[None] for each in (x, y)]
    hsic = hsic1 if debiased else lambda first, second: hsic0(first[0], second[0])
    parts = [float(hsic(grams[one], grams[other])) for one, other in ((0, 1), (0, 0), (1, 1))]
    assert theirs == pytest.approx(parts[0] / np.sqrt(parts[1] * parts[2]), abs=1e-9)


@pytest.mark.parametrize("widths", [(9, 9), (9, 14), (80, 70)])
def test_procrustes_is_that_of_scipy(widths):
    a, b = alike(widths)
    first, second = (each / np.linalg.norm(each) for each in (each - each.mean(axis=0, dtype=float) for each in (a, b)))
    wide = max(widths)
    padded = [np.pad(each, [(0, 0), (0, wide - each.shape[1])]) for each in (first, second)]
    rotation, _ = orthogonal_procrustes(*padded)
    distance = np.linalg.norm(padded[0] @ rotation - padded[1])
    assert value(OF_FEATURES["procrustes"], a, b) == pytest.approx(1 - distance**2 / 2, abs=1e-6)


def test_rsa_is_scipys_rank_correlation_of_its_distances():
    a, b = alike()
    theirs = spearmanr(pdist(a, "correlation"), pdist(b, "correlation")).statistic
    assert value(OF_FEATURES["rsa"], a, b) == pytest.approx(theirs, abs=1e-6)


def test_neighbours_are_those_of_scikit_learn():
    a, b = alike()
    sets = []
    for features in (a, b):
        found = NearestNeighbors(n_neighbors=7, metric="cosine").fit(features).kneighbors(return_distance=False)
        sets.append([set(row) for row in found])
    pairs = list(zip(*sets, strict=True))
    assert value(OF_FEATURES["share"], a, b) == pytest.approx(np.mean([len(s & t) / 7 for s, t in pairs]))
    assert value(OF_FEATURES["jaccard"], a, b) == pytest.approx(np.mean([len(s & t) / len(s | t) for s, t in pairs]))


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_rotation_and_a_scale_change_nothing(name):
    a, b = alike()
    turned = (3.5 * b @ ortho_group.rvs(b.shape[1], random_state=0)).astype(np.float32)
    if name == "rsa":  # correlates features, so that only their order and scale are free
        turned = 3.5 * b[:, ::-1]
    assert value(OF_FEATURES[name], a, turned) == pytest.approx(value(OF_FEATURES[name], a, b), abs=1e-5)
    assert value(OF_FEATURES[name], b, turned) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["cka", "debiased_cka", "procrustes"])
def test_a_shift_changes_nothing(name):
    a, b = alike()
    assert value(OF_FEATURES[name], a, b + 5) == pytest.approx(value(OF_FEATURES[name], a, b), abs=1e-5)


def test_only_the_debiased_cka_of_independent_noise_is_0():
    pairs = [(drawn(seed, 200, 40), drawn(100 + seed, 200, 40)) for seed in range(20)]
    debiased = [value(OF_FEATURES["debiased_cka"], a, b) for a, b in pairs]
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / np.sqrt(len(debiased))
    assert abs(np.mean(debiased)) < 0.02
    assert min(value(OF_FEATURES["cka"], a, b) for a, b in pairs) > 0.7


@pytest.mark.parametrize("name", OF_FEATURES)
def test_few_or_equal_features_have_no_value(name):
    equal = np.ones((IMAGES, 4), np.float32)
    if name in ("cka", "debiased_cka", "procrustes", "rsa"):
        assert np.isnan(value(OF_FEATURES[name], equal, drawn(0, 4)))
    assert np.isnan(value(OF_FEATURES[name], drawn(0, 4, 1), drawn(1, 4, 1)))


@pytest.mark.parametrize("name", ["cka", "debiased_cka", "procrustes", "rsa"])
def test_a_sample_of_the_jackknife_with_equal_features_has_no_interval(name):
    group = samples(IMAGES)[1]
    features = np.where(group[:, None], np.float32(0.1), drawn(0, 80))
    found = OF_FEATURES[name].value(features, drawn(1, 9), None, 0.95)
    assert np.isfinite(found[0])
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("make", [lambda n: cka.measure(False, n), procrustes.measure, rsa.measure])
def test_no_more_images_than_stated_count(make):
    a, b = alike()
    rows = np.linspace(0, IMAGES - 1, 20).round().astype(int)
    assert value(make(20), a, b) == pytest.approx(value(make(1000), a[rows], b[rows]))


def test_top_classes_are_counted_by_hand():
    a, b = np.float32([[5, 4, 3, 2], [1, 2, 3, 4]]), np.float32([[4, 5, 3, 2], [4, 3, 1, 2]])
    assert value(top_classes.measure(2), a, b) == pytest.approx((1 + 0) / 2)
    assert np.isnan(value(top_classes.measure(4), a, b)), "all classes are always equal"


def test_gradients_of_any_scale_have_their_cosine_and_zero_ones_are_left_out():
    a = np.float16([[1, 0], [1, 1], [0, 0]]).reshape(3, 1, 1, 2)
    b = np.float16([[2, 0], [0, -3], [1, 1]]).reshape(3, 1, 1, 2)
    assert value(gradient_cosine.measure(3), a, b) == pytest.approx((1 - np.sqrt(0.5)) / 2)
    assert np.isnan(value(gradient_cosine.measure(3), a, b[:, :, :, :1]))


def test_boundaries_are_the_mean_share_of_equal_classes():
    a, b = np.int32([[0, 1, 2, 3], [0, 0, 0, 0]]), np.int32([[0, 1, 0, 3], [0, 0, 1, 1]])
    assert value(boundaries.measure(2, 2), a, b) == pytest.approx((0.75 + 0.5) / 2)


@pytest.mark.parametrize("name", ["cka", "rsa", "share"])
def test_the_jackknifes_interval_holds_the_value_of_many_images_about_as_often_as_stated(name):
    common = drawn(0, 4, 4000)
    a, b = (common @ drawn(seed, 6, 4) + drawn(10 + seed, 6, 4000) for seed in (1, 2))
    measure = OF_FEATURES[name] if name != "share" else neighbours.measure("share", 12, 1000)
    generator = np.random.default_rng(0)
    samples = [generator.choice(4000, 80, replace=False) for _ in range(50)]
    found = np.array([measure.value(a[rows], b[rows], None, 0.9) for rows in samples])
    inside = (found[:, 1] <= found[:, 0].mean()) & (found[:, 0].mean() <= found[:, 2])
    assert 0.75 < inside.mean() <= 1
    half = (found[:, 2] - found[:, 1]).mean() / 2
    assert 1.0 < half / found[:, 0].std() < 3
