"""Intervals against libraries that compute every sample of the jackknife from its images alone."""

import numpy as np
import pytest
import torch
from ckatorch.core import cka_base
from hypothesis import given, settings
from hypothesis import strategies as st
from lmsim.metrics import CAPA
from scipy.linalg import svdvals
from scipy.spatial.distance import pdist
from scipy.special import softmax
from scipy.stats import spearmanr, t
from sklearn.neighbors import NearestNeighbors

from sat_exp.similarity.measures import capa, cka, neighbours, procrustes, rsa
from sat_exp.similarity.over_images import PARTS, samples


def by_cka(a, b, debiased):
    tensors = (torch.from_numpy(each.astype(np.float64)) for each in (a, b))
    return float(cka_base(*tensors, kernel="linear", unbiased=debiased, method="fro_norm"))


def by_svd(a, b):
    centred = [each - each.mean(axis=0, dtype=np.float64) for each in (a, b)]
    return svdvals(centred[0].T @ centred[1]).sum() / np.prod([np.linalg.norm(each) for each in centred])


def by_scipy(a, b):
    return spearmanr(pdist(a, "correlation"), pdist(b, "correlation")).statistic


def by_sklearn(a, b, jaccard):
    search = NearestNeighbors(n_neighbors=3, metric="cosine")
    found = [search.fit(each.astype(np.float64)).kneighbors(return_distance=False) for each in (a, b)]
    shared = np.array([len(np.intersect1d(*rows)) for rows in zip(*found, strict=True)])
    return (shared / (6 - shared if jaccard else 3)).mean()


MEASURES = {
    "cka": (cka.measure(False, 1000), lambda a, b: by_cka(a, b, False)),
    "debiased_cka": (cka.measure(True, 1000), lambda a, b: by_cka(a, b, True)),
    "procrustes": (procrustes.measure(1000), by_svd),
    "rsa": (rsa.measure(1000), by_scipy),
    "jaccard": (neighbours.measure("jaccard", 3, 1000), lambda a, b: by_sklearn(a, b, True)),
    "share": (neighbours.measure("share", 3, 1000), lambda a, b: by_sklearn(a, b, False)),
}


def expected(theirs, images, confidence):
    """The value and the ends of the interval from a value `theirs(rows)` of every sample, which need not be clipped."""
    value, *left = (theirs(np.flatnonzero(inside)) for inside in samples(images))
    parts = len(left)
    half = t.ppf((1 + confidence) / 2, parts - 1) * np.sqrt((parts - 1) / parts * np.sum((left - np.mean(left)) ** 2))
    return value, value - half, value + half


@pytest.mark.parametrize("name", MEASURES)
@given(seed=st.integers(0, 1000), images=st.integers(16, 60), widths=st.tuples(*[st.integers(4, 70)] * 2))
@settings(max_examples=8, deadline=None)
def test_the_interval_is_that_of_a_librarys_values_of_all_samples(name, seed, images, widths):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(images, 4))
    noise = 0.3 * generator.normal(size=(2, images, 70))
    a, b = (
        (common @ generator.normal(size=(4, d)) + own[:, :d]).astype(np.float32)
        for d, own in zip(widths, noise, strict=True)
    )
    measure, theirs = MEASURES[name]
    wanted = np.clip(expected(lambda rows: theirs(a[rows], b[rows]), images, 0.9), measure.low, measure.high)
    assert measure.value(a, b, None, 0.9) == pytest.approx(wanted, abs=1e-6 if name == "rsa" else 1e-9)


def test_the_interval_of_capa_is_that_of_lm_sims_values_of_all_samples():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 6, 60)
    a, b = (2 * generator.normal(size=(2, 60, 6)) + 3 * np.eye(6)[labels]).astype(np.float32)
    p, q = (softmax(each.astype(float), axis=1) for each in (a, b))
    wanted = expected(lambda rows: CAPA().compute_k([*p[rows]], [*q[rows]], [*labels[rows]]), 60, 0.95)
    assert capa.measure().value(a, b, labels, 0.95) == pytest.approx(wanted, abs=1e-12)


@given(st.integers(0, 500))
def test_each_image_is_left_out_of_one_sample_and_groups_differ_by_one_image_at_most(images):
    inside = samples(images)
    assert inside[0].all()
    if images < 4:
        assert len(inside) == 1
        return
    left_out = ~inside[1:]
    assert len(left_out) == min(PARTS, images // 2)
    assert (left_out.sum(axis=0) == 1).all()
    assert np.ptp(left_out.sum(axis=1)) <= 1
