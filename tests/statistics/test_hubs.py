"""Neighbours and hubs: examples worked out by hand, planted hubs, statsmodels, and the published matrix."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, skew
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import spectral, spectrum
from sat_exp.statistics.hubs import are_nearest, hubness, nearest, nearest_columns, without_diagonal, without_hubs


def square(values, names=None):
    names = [f"m{index}" for index in range(len(values))] if names is None else names
    return pd.DataFrame(values, index=names, columns=names, dtype=float)


def symmetric(models, seed, missing=0.0):
    rng = np.random.default_rng(seed)
    values = np.triu(rng.uniform(1, 4, (models, models)))
    values[rng.random(values.shape) < missing] = np.nan
    return square(np.triu(values, 1) + np.triu(values, 1).T + np.diag(np.diag(values)))


SMALL = square(
    [
        [4.6, 3.0, 2.0, 1.0],
        [3.0, 0.5, 2.5, 1.5],
        [2.0, 2.5, 4.6, 1.7],
        [1.0, 1.5, 1.7, 4.6],
    ],
    list("abcd"),
)


def test_nearest_by_hand():
    found = nearest(SMALL, 2)
    assert found["model"].tolist() == [*"aabbccdd"]
    assert found["rank"].tolist() == [1, 2] * 4
    assert found["neighbour"].tolist() == [*"bcacbacb"]
    assert found["sat"].tolist() == [3, 2, 3, 2.5, 2.5, 2, 1.7, 1.5]


def test_an_unmeasured_pair_is_no_neighbour():
    sat = SMALL.copy()
    sat.loc["a", "b"] = sat.loc["b", "a"] = np.nan
    found = nearest(sat, 3)
    assert found.loc[found["model"] == "a", "neighbour"].tolist() == ["c", "d"]
    assert found.loc[found["model"] == "a", "rank"].tolist() == [1, 2]


def test_the_closest_published_pair_is_each_others_nearest(published):
    found = nearest(published).set_index(["model", "rank"])
    pair = ["swin_s3_tiny_224", "swin_tiny_patch4_window7_224"]
    for one, other in (pair, pair[::-1]):
        assert found.loc[(one, 1), "neighbour"] == other
        assert found.loc[(one, 1), "sat"] == pytest.approx(4.141, abs=1e-3)
    assert len(found) == 69 * 5


def test_a_small_pool_has_all_others_for_neighbours():
    assert nearest(SMALL)["rank"].tolist() == [1, 2, 3] * 4
    assert hubness(SMALL)[0]["occurrences"].sum() == 4
    models, skewness = hubness(SMALL, 3)
    assert (models["occurrences"] == 3).all()
    assert math.isnan(skewness["expected"])


def test_hubs_by_hand():
    models, skewness = hubness(SMALL, 2)
    table = models.set_index("model")
    assert list(table.index) == ["b", "c", "a", "d"]
    assert table["mean_sat"].tolist() == pytest.approx([7 / 3, 6.2 / 3, 2, 4.2 / 3])
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["occurrences"].tolist() == [3, 3, 2, 0]
    assert table["nearest_to"].tolist() == [2, 1, 1, 0]
    assert skewness["skewness"] == pytest.approx(skew([3, 3, 2, 0]))
    assert skewness["expected"] == pytest.approx(float(binom.stats(3, 2 / 3, moments="s")))


def test_a_planted_hub_is_found_and_taken_off():
    rng = np.random.default_rng(0)
    noise = np.triu(rng.standard_normal((30, 30)) * 0.1, 1)
    effect = np.zeros(30)
    effect[7] = 1.0
    sat = square(2.5 + effect[:, None] + effect[None, :] + noise + noise.T)
    models, skewness = hubness(sat)
    assert models["model"].iloc[0] == "m7"
    assert models["occurrences"].iloc[0] == 29
    assert skewness["skewness"] > 5 * skewness["expected"]
    assert hubness(without_hubs(sat).sat)[1]["skewness"] < 2


def test_the_published_hubs(published):
    models, skewness = hubness(published)
    assert models["model"].tolist()[:2] == ["dla102x2", "eca_resnet33ts"]
    assert models["model"].iloc[-1] == "vit_base_patch32_224"
    assert models.set_index("model").loc["dla102x2", ["occurrences", "nearest_to"]].tolist() == [20, 7]
    assert skewness["skewness"] == pytest.approx(1.080, abs=1e-3)
    assert skewness["expected"] == pytest.approx(0.396, abs=1e-3)
    corrected = without_hubs(published)
    assert abs(hubness(corrected.sat)[1]["skewness"]) < skewness["expected"]
    assert corrected.pairs["expected"].mean() == pytest.approx(2.665, abs=1e-3)
    assert corrected.explained == pytest.approx(0.440, abs=1e-3)
    assert corrected.effects.idxmin() == "vit_base_patch32_224"


def test_without_hubs_the_published_matrix_has_eigengaps_at_five_and_ten(published):
    affinity = without_hubs(published).affinity
    gaps = spectrum(affinity)["eigengap"]
    assert gaps.loc[2:].nlargest(1).index == [5]
    assert gaps.loc[6:60].nlargest(1).index == [10]
    assert gaps[10] > 1.4 * gaps.loc[6:60].nlargest(2).iloc[1]


def test_groups_hidden_behind_hubs_are_found_without_them():
    group = np.repeat([0, 1, 2], 6)
    effect = np.random.default_rng(0).normal(0, 0.6, 18)
    noise = np.triu(np.random.default_rng(1).standard_normal((18, 18)) * 0.05, 1)
    values = 2.5 + effect[:, None] + effect[None, :] + 0.4 * (group[:, None] == group) + noise + noise.T
    sat = square(np.where(np.eye(18, dtype=bool), 4.6, values))
    assert adjusted_rand_score(spectral(sat, 3), group) < 1
    assert adjusted_rand_score(spectral(without_hubs(sat).affinity, 3), group) == 1


def test_neighbours_in_a_ring_have_no_skewness():
    apart = np.abs(np.subtract.outer(range(8), range(8)))
    models, skewness = hubness(square(4 - np.minimum(apart, 8 - apart)), 2)
    assert (models["occurrences"] == 2).all()
    assert math.isnan(skewness["skewness"])


@settings(max_examples=25, deadline=None)
@given(models=st.integers(3, 12), seed=st.integers(0, 10**6))
def test_what_models_have_with_everyone_is_double_centring_off_the_diagonal(models, seed):
    sat = symmetric(models, seed)
    found = without_hubs(sat)
    between = sat.mask(np.eye(models, dtype=bool))
    means, mean = between.mean(), np.nanmean(between)
    expected = (means - mean) * (models - 1) / (models - 2)
    effects = found.effects.loc[sat.index]
    assert found.pairs["expected"].mean() == pytest.approx(mean)
    np.testing.assert_allclose(effects, expected, atol=1e-10)
    np.testing.assert_allclose(found.sat.sum(), 0, atol=1e-9)
    left = between - mean - np.add.outer(expected.to_numpy(), expected.to_numpy())
    np.testing.assert_allclose(found.sat, left, atol=1e-10)
    again = without_hubs(found.sat)
    assert again.pairs["expected"].mean() == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(again.effects, 0, atol=1e-10)


def test_the_diagonal_does_not_matter():
    changed = SMALL.where(~np.eye(4, dtype=bool), -3.0)
    pd.testing.assert_frame_equal(without_hubs(SMALL).pairs, without_hubs(changed).pairs)
    pd.testing.assert_frame_equal(hubness(SMALL, 2)[0], hubness(changed, 2)[0])


@settings(max_examples=20, deadline=None)
@given(models=st.integers(4, 9), seed=st.integers(0, 10**6))
def test_the_order_of_the_models_does_not_matter(models, seed):
    sat = symmetric(models, seed)
    order = np.random.default_rng(seed).permutation(sat.index)
    one, other = without_hubs(sat), without_hubs(sat.loc[order, order])
    np.testing.assert_allclose(one.sat, other.sat.loc[sat.index, sat.index], atol=1e-10)
    hubs = [hubness(values, 2) for values in (sat, sat.loc[order, order])]
    tables = [models.set_index("model").loc[sat.index] for models, _ in hubs]
    pd.testing.assert_frame_equal(*tables)
    assert hubs[0][1] == pytest.approx(hubs[1][1], nan_ok=True)


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_effects_are_those_of_ordinary_least_squares(missing):
    sat = symmetric(8, 4, missing)
    found = without_hubs(sat)
    rows = [
        {"sat": sat.loc[a, b]} | {model: float(model in (a, b)) for model in sat.index}
        for a, b in itertools.combinations(sat.index, 2)
        if np.isfinite(sat.loc[a, b])
    ]
    fit = smf.ols("sat ~ 0 + " + " + ".join(sat.index), pd.DataFrame(rows)).fit()
    effects = found.effects
    pair = found.pairs.iloc[0]
    mean = pair["expected"] - effects[pair["model_a"]] - effects[pair["model_b"]]
    assert (effects + mean / 2).loc[sat.index].tolist() == pytest.approx(fit.params.tolist())
    assert found.explained == pytest.approx(1 - fit.ssr / ((fit.model.endog - fit.model.endog.mean()) ** 2).sum())
    assert sorted(found.pairs["residual"]) == pytest.approx(sorted(fit.resid))
    assert found.pairs["residual"].is_monotonic_decreasing
    assert (found.pairs["sat"] - found.pairs["expected"]).tolist() == pytest.approx(found.pairs["residual"].tolist())
    for pair in found.pairs.itertuples():
        assert found.sat.loc[pair.model_a, pair.model_b] == pytest.approx(pair.residual)


@pytest.mark.parametrize(
    "sat",
    [
        symmetric(2, 0),
        square([[4.6, np.nan, 2, 3], [np.nan, 4.6, 3, 2], [2, 3, 4.6, np.nan], [3, 2, np.nan, 4.6]]),
    ],
    ids=["two models", "a cycle of four"],
)
def test_effects_that_are_not_determined_are_refused(sat):
    with pytest.raises(UserError, match="measure every pair of at least three models"):
        without_hubs(sat)


SIMILAR = np.array([[np.nan, 2, 2, 1], [2, np.nan, np.nan, np.nan], [2, np.nan, np.nan, 3], [1, np.nan, 3, np.nan]])


def test_of_equal_entries_the_first_is_nearest_and_missing_ones_never():
    assert nearest_columns(SIMILAR, 2).tolist() == [[1, 2], [0, -1], [3, 0], [2, 0]]
    expected = [[False, True, True, False], [True, False, False, False], [True, False, False, True]]
    assert are_nearest(SIMILAR, 2)[:3].tolist() == expected


def test_neighbours_are_those_of_scikit_learn():
    points = np.random.default_rng(0).normal(size=(20, 3))
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    expected = NearestNeighbors(n_neighbors=4).fit(points).kneighbors(return_distance=False)
    np.testing.assert_array_equal(nearest_columns(without_diagonal(-apart), 4), expected)


def test_the_diagonal_is_taken_off_a_copy():
    values = np.ones((2, 2))
    assert np.isnan(np.diag(without_diagonal(values))).all()
    assert np.isfinite(values).all()
