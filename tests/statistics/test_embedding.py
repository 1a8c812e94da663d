"""Embeddings against known configurations, scikit-learn's scaling, planted groups and the published matrix."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.distance import cdist
from sklearn import manifold

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import distances
from sat_exp.statistics.embedding import classical, tsne


def of_points(points):
    """SAT of models that lie at `points`."""
    names = [f"m{index}" for index in range(len(points))]
    return pd.DataFrame(np.log(100) - cdist(points, points), index=names, columns=names)


def plane(count, seed, dimensions=2):
    return np.random.default_rng(seed).uniform(0, 2, (count, dimensions))


def placed(embedding):
    return embedding.points[["x", "y"]].to_numpy()


@settings(max_examples=20, deadline=None)
@given(count=st.integers(4, 20), seed=st.integers(0, 10**6))
def test_scaling_recovers_points_of_a_plane(count, seed):
    points = plane(count, seed)
    found = classical(of_points(points))
    assert list(found.points["model"]) == [f"m{index}" for index in range(count)]
    assert procrustes(points, placed(found))[2] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(cdist(placed(found), placed(found)), cdist(points, points), atol=1e-6)
    assert found.quality["explained"] == pytest.approx(1)
    assert found.quality["stress"] == pytest.approx(0, abs=1e-6)
    for name in ("neighbours_kept", "trustworthiness", "rank_correlation"):
        assert found.quality[name] == pytest.approx(1, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(4, 15), seed=st.integers(0, 10**6))
def test_the_order_of_the_models_does_not_matter_to_scaling(count, seed):
    sat = of_points(plane(count, seed, dimensions=5))
    order = np.random.default_rng(seed).permutation(sat.index)
    one, other = classical(sat), classical(sat.loc[order, order])
    moved = other.points.set_index("model").loc[sat.index]
    np.testing.assert_allclose(placed(one), moved, atol=1e-7)
    assert one.quality == pytest.approx(other.quality)
    farthest = one.points.set_index("model").abs().idxmax()
    assert all(one.points.set_index("model").loc[farthest[axis], axis] > 0 for axis in ("x", "y"))


def test_scaling_of_the_published_matrix_is_scikit_learns(published):
    found = classical(published)
    if not hasattr(manifold, "ClassicalMDS"):
        pytest.skip("needs scikit-learn 1.8, the first with classical scaling")
    other = manifold.ClassicalMDS(n_components=2, metric="precomputed").fit(distances(published))
    np.testing.assert_allclose(np.abs(placed(found)), np.abs(other.embedding_), atol=1e-8)
    assert found.quality["explained"] == pytest.approx(0.294, abs=1e-3)
    assert found.quality["stress"] == pytest.approx(0.559, abs=1e-3)
    assert found.quality["trustworthiness"] == pytest.approx(
        manifold.trustworthiness(distances(published), placed(found), metric="precomputed", n_neighbors=5)
    )


def test_neighbours_kept_and_stress_of_a_box_drawn_flat():
    """Eight corners of a box 1 × 1.3 × 0.5: the drawing drops the third side, so that a model's twin lies on it."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1.3) for z in (0, 0.5)], dtype=float)
    found = classical(of_points(corners))
    flat = cdist(corners[:, :2], corners[:, :2])
    assert found.quality["explained"] == pytest.approx((2 + 2 * 1.3**2) / (2 + 2 * 1.3**2 + 2 * 0.5**2))
    true = cdist(corners, corners)
    assert found.quality["stress"] == pytest.approx(np.sqrt(((true - flat) ** 2).sum() / (true**2).sum()))
    # Nearest three: the twin and one side with its twin in the plane; in truth the twin, the side, and its twin.
    assert found.quality["neighbours_kept"] == pytest.approx(1)


def test_negative_eigenvalues_count_against_what_is_explained():
    """Four models at 1 from each other but two at 2.5: no such points exist."""
    apart = np.ones((4, 4)) - np.eye(4)
    apart[0, 1] = apart[1, 0] = 2.5
    names = list("abcd")
    found = classical(pd.DataFrame(np.log(100) - apart, index=names, columns=names))
    centring = np.eye(4) - 0.25
    values = np.linalg.eigvalsh(-centring @ apart**2 @ centring / 2)
    assert values[0] < -0.1
    assert found.quality["explained"] == pytest.approx(values[-2:].sum() / np.abs(values).sum())


def test_models_that_are_all_alike_lie_on_one_point():
    found = classical(of_points(np.zeros((5, 2))))
    np.testing.assert_array_equal(placed(found), 0)
    assert np.isnan(found.quality["explained"])
    assert np.isnan(found.quality["stress"])


def test_tsne_keeps_more_neighbours_of_the_published_matrix_than_scaling(published):
    flat, found = classical(published), tsne(published)
    assert found.quality["perplexity"] == 10
    assert found.quality["neighbours_kept"] > 0.62 > 0.5 > flat.quality["neighbours_kept"]
    assert found.quality["trustworthiness"] > 0.92 > 0.9 > flat.quality["trustworthiness"]
    assert found.quality["rank_correlation"] < flat.quality["rank_correlation"]
    assert found.quality["divergence"] < 0.35


def test_tsne_follows_from_its_seed():
    sat = of_points(plane(12, 0, dimensions=4))
    pd.testing.assert_frame_equal(tsne(sat, seed=3).points, tsne(sat, seed=3).points)
    assert not tsne(sat, seed=3).points.equals(tsne(sat, seed=4).points)


@pytest.mark.parametrize("seed", [0, 1])
def test_tsne_draws_planted_groups_apart(seed):
    group = np.repeat([0, 1, 2], 15)
    points = 4 * np.eye(3)[group] * 0.3 + 0.05 * np.random.default_rng(seed).standard_normal((45, 3))
    drawn = placed(tsne(of_points(points), seed=seed))
    between = cdist(drawn, drawn)
    same = group[:, None] == group
    assert between[same].max() < between[~same].min()


def test_the_smallest_pool_that_tsne_draws():
    found = tsne(of_points(plane(4, 0)))
    assert found.quality["perplexity"] == 1
    assert np.isfinite(placed(found)).all()


@pytest.mark.parametrize("draw", [classical, tsne])
def test_a_missing_pair_cannot_be_drawn(draw):
    sat = of_points(plane(5, 0))
    sat.iloc[1, 2] = sat.iloc[2, 1] = np.nan
    with pytest.raises(UserError, match="no SAT of m1 and m2"):
        draw(sat)
