"""Clusters against the published ones and known blocks, and properties of any clustering."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import distances, hierarchy, spectral, spectrum

from .planted import blocks

# Two members of each of the ten clusters that the paper's figure of them names.
CAPTION = [
    ("vit_base_patch32_224", "deit_base_patch16_224"),
    ("swin_tiny_patch4_window7_224", "convnext_tiny"),
    ("pit_s_224", "xcit_tiny_12_p8_224"),
    ("halonet50ts", "botnet26t_256"),
    ("lamhalobotnet50ts_256", "gcresnet50t"),
    ("resnet50", "resnetv2_50"),
    ("regnety_032", "rexnet_150"),
    ("nfnet_l0", "resnest50d"),
    ("gluon_resnet101_v1c", "regnetx_320"),
    ("cspresnet50", "cspdarknet53"),
]


@pytest.mark.parametrize("seed", range(5))
def test_nine_of_the_ten_published_pairs_are_together_whatever_the_seed(published, seed):
    found = spectral(published, 10, seed=seed)
    together = [a for a, b in CAPTION if found[a] == found[b]]
    assert len(together) >= 9
    assert len({found[a] for a in together}) == len(together)
    assert sorted(found.unique()) == list(range(1, 11))


def test_the_seed_does_not_matter_on_the_published_matrix(published):
    pd.testing.assert_series_equal(spectral(published, 10, seed=1), spectral(published, 10, seed=2))


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=2, max_size=4),
    noise=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 1000),
)
def test_groups_are_found_in_any_order_of_the_models(sizes, noise, seed):
    affinity, group = blocks(sizes, noise=noise, seed=seed)
    order = np.random.default_rng(seed).permutation(affinity.index)
    found = spectral(affinity.loc[order, order], len(sizes), restarts=20)
    assert list(found.index) == list(order)
    assert pd.crosstab(found, group[order]).gt(0).to_numpy().sum() == len(sizes)


def test_clusters_are_numbered_by_size_then_by_first_member():
    affinity, group = blocks([2, 3, 4, 3])
    found = spectral(affinity, 4, restarts=20)
    assert [found[group == number].iloc[0] for number in range(4)] == [4, 2, 1, 3]
    assert found.dtype == np.int64


def test_as_many_clusters_as_models_and_one():
    affinity, _ = blocks([2, 2])
    assert list(spectral(affinity, 4, restarts=5)) == [1, 2, 3, 4]
    assert list(spectral(affinity, 1, restarts=5)) == [1, 1, 1, 1]


def test_a_negative_similarity_is_no_tie():
    affinity, group = blocks([3, 3], between=-2.0)
    without, _ = blocks([3, 3], between=0.0)
    pd.testing.assert_series_equal(spectral(affinity, 2, restarts=5), spectral(without, 2, restarts=5))
    assert list(spectral(affinity, 2, restarts=5) - 1) == list(group)


def test_the_diagonal_counts_as_measured():
    """The top eigenvalue is 1 with eigenvector √degree, the diagonal in the degree: without it, rows would differ."""
    affinity, _ = blocks([3, 3])
    affinity.iloc[0, 0] = 400.0  # a model so tied to itself stands alone
    assert list(spectral(affinity, 2, restarts=5)) == [2, 1, 1, 1, 1, 1]


def missing(affinity):
    affinity.loc["m1", "m2"] = affinity.loc["m2", "m1"] = np.nan
    return affinity


def lopsided(affinity):
    affinity.loc["m1", "m2"] += 1
    return affinity


def alone(affinity):
    affinity.loc["m1"] = affinity.loc[:, "m1"] = -1.0
    return affinity


@pytest.mark.parametrize(
    ("spoil", "clusters", "message"),
    [
        (missing, 2, "no SAT of m1 and m2: measure every pair, or leave one of the two out"),
        (lopsided, 2, "not symmetric: give SAT, not directed rates"),
        (alone, 2, "m1 is similar to no model, not even itself"),
        (lambda affinity: affinity, 5, "5 clusters of 4 models: choose 1 to 4"),
        (lambda affinity: affinity, 0, "0 clusters of 4 models: choose 1 to 4"),
    ],
)
def test_what_cannot_be_clustered_says_why(spoil, clusters, message):
    affinity, _ = blocks([2, 2])
    with pytest.raises(UserError, match=message):
        spectral(spoil(affinity), clusters)


def test_the_spectrum_of_two_equal_groups_is_known():
    """Groups of n with similarity a within and b between: eigenvalues 1, (a − b)/(a + b) and zeros."""
    affinity, _ = blocks([3, 3], within=4.6, between=2.0)
    found = spectrum(affinity)
    assert list(found.index) == [1, 2, 3, 4, 5, 6]
    assert found["eigenvalue"].tolist() == pytest.approx([1, 2.6 / 6.6, 0, 0, 0, 0], abs=1e-12)
    assert found["eigengap"].tolist()[:5] == pytest.approx([4 / 6.6, 2.6 / 6.6, 0, 0, 0], abs=1e-12)
    assert np.isnan(found["eigengap"].iloc[-1])


def test_the_published_matrix_has_no_eigengap_at_ten(published):
    gaps = spectrum(published)["eigengap"].drop(1)
    assert gaps.idxmax() == 2
    assert gaps.nlargest(2).index[1] == 4
    assert gaps[10] < gaps[2] / 20


def test_a_tree_of_groups_is_faithful_and_cut_into_them():
    affinity, group = blocks([2, 3, 4])
    tree = hierarchy(affinity)
    assert list(tree.cut(3)) == list(3 - group)
    assert [*dict.fromkeys(group[tree.leaves])] in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
    with pytest.raises(UserError, match="1 model has no tree: give at least two"):
        hierarchy(affinity.iloc[:1, :1])


def test_the_published_tree_is_that_of_scikit_learn(published):
    tree = hierarchy(published)
    for clusters in (2, 10, 30):
        other = AgglomerativeClustering(clusters, metric="precomputed", linkage="average").fit(distances(published))
        assert adjusted_rand_score(tree.cut(clusters), other.labels_) == 1


def test_distances_are_logarithms_of_how_much_transfers():
    affinity = pd.DataFrame([[4.0, np.log(10)], [np.log(10), 4.6]], index=["a", "b"], columns=["a", "b"])
    np.testing.assert_allclose(distances(affinity), [[0, np.log(10)], [np.log(10), 0]])
