"""Clusters against the published ones, known blocks, and properties that any clustering has."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity import Predictions, score
from sat_exp.statistics.clustering import (
    adjusted_rand,
    distances,
    hierarchy,
    perturbed,
    resampled,
    spectral,
    spectrum,
    stability,
    thinned,
    weighted,
)
from sat_exp.studies.compare.comparison import sampling_error

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


def blocks(sizes, within=3.5, between=2.0, noise=0.0, seed=0):
    """Similarities of models in groups, and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    values = np.where(group[:, None] == group[None, :], within, between)
    values = values + noise * rng.standard_normal(values.shape)
    values = np.triu(values, 1) + np.triu(values, 1).T + np.diag(np.full(len(group), 4.6))
    names = [f"m{index}" for index in range(len(group))]
    return pd.DataFrame(values, index=names, columns=names), pd.Series(group, index=names)


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
    assert list(found["clusters"]) == [1, 2, 3, 4, 5, 6]
    assert found["eigenvalue"].tolist() == pytest.approx([1, 2.6 / 6.6, 0, 0, 0, 0], abs=1e-12)
    assert found["eigengap"].tolist()[:5] == pytest.approx([4 / 6.6, 2.6 / 6.6, 0, 0, 0], abs=1e-12)
    assert np.isnan(found["eigengap"].iloc[-1])


def test_the_published_matrix_has_no_eigengap_at_ten(published):
    gaps = spectrum(published).set_index("clusters")["eigengap"].drop(1)
    assert gaps.idxmax() == 2
    assert gaps.nlargest(2).index[1] == 4
    assert gaps[10] < gaps[2] / 20


@settings(max_examples=25, deadline=None)
@given(items=st.integers(4, 12), runs=st.integers(2, 5), gone=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 10**6))
def test_adjusted_rand_is_that_of_scikit_learn(items, runs, gone, seed):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 4, (runs, items))
    found[rng.random(found.shape) < gone] = -1
    index = adjusted_rand(found)
    for (i, a), (j, b) in itertools.product(enumerate(found), repeat=2):
        both = (a >= 0) & (b >= 0)
        if both.sum() < 2:
            assert np.isnan(index[i, j])
        else:
            assert index[i, j] == pytest.approx(adjusted_rand_score(a[both], b[both]), abs=1e-9)


def predicted(groups, images=400, within=0.7, seed=0):
    """Clean and adversarial predictions of models of which those of a group are fooled by the same images."""
    rng = np.random.default_rng(seed)
    names = [f"m{index}" for index in range(len(groups))]
    labels = rng.integers(0, 5, images)
    clean = {name: np.where(rng.random(images) < 0.9, labels, (labels + 1) % 5) for name in names}
    adversarial = {}
    for (source, i), (target, j) in itertools.product(zip(names, groups, strict=True), repeat=2):
        rate = 1.0 if source == target else within if i == j else 0.2
        fooled = rng.random(images) < rate
        adversarial[source, target] = np.where(fooled, (clean[target] + 2) % 5, clean[target])
    return names, labels, clean, adversarial


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


@pytest.mark.parametrize("groups", [[4, 4], [3, 4, 5], [3, 3, 3, 3]], ids=str)
def test_the_number_of_groups_is_recovered_from_resampled_images(groups):
    of = np.repeat(np.arange(len(groups)), groups)
    names, labels, clean, adversarial = predicted(of, within=0.3)
    whole = similarity.matrix(score(Predictions(names, labels, clean, adversarial), dict.fromkeys(names, "")))
    draws = resampled(Predictions(names, labels, clean, adversarial), resamples=25)
    found = stability(whole, draws, changed="images", restarts=10)
    assert found.recommended == len(groups)
    assert f"K = {len(groups)} is the largest at which two clusterings from other images agree" in found.reason
    assert found.runs == 25
    chosen = found.models[found.models["clusters"] == len(groups)]
    assert adjusted_rand_score(chosen["cluster"], of) == adjusted_rand_score(chosen["consensus_cluster"], of) == 1


@pytest.mark.parametrize("way", ["errors", "models", "starts"])
def test_the_number_of_groups_is_recovered_from_a_matrix(way):
    affinity, _ = blocks([6, 7, 8], noise=0.1, seed=3)
    error = affinity * 0 + 0.1
    draws = {"errors": perturbed(affinity, error, draws=25), "models": thinned(affinity, draws=25), "starts": None}[way]
    found = stability(affinity, draws, most=6, restarts=10)
    assert found.recommended == 3
    assert list(found.by_clusters["clusters"]) == [2, 3, 4, 5, 6]


def test_without_groups_no_number_of_them_is_called_stable():
    affinity, _ = blocks([16], noise=0.1)
    found = stability(affinity, perturbed(affinity, affinity * 0 + 0.1, draws=15), restarts=10)
    assert "no K reaches 0.9" in found.reason
    assert found.by_clusters["between_runs"].max() < 0.6


def test_runs_that_are_alike_are_perfectly_stable():
    affinity, _ = blocks([2, 3, 4])
    found = stability(affinity, [affinity, affinity.iloc[::-1, ::-1]], most=3)
    assert (found.by_clusters.loc[1, ["between_runs", "with_whole", "with_whole_low", "with_tree"]] == 1).all()
    chosen = found.models.query("clusters == 3").set_index("model")
    assert (chosen["stability"] == 1).all()
    assert (chosen["next_consensus"] == 0).all()
    assert (chosen["cluster"] == spectral(affinity, 3)).all()
    expected = chosen["cluster"].to_numpy()[:, None] == chosen["cluster"].to_numpy()
    np.testing.assert_array_equal(found.consensus[3], expected)


def test_a_model_between_two_groups_is_the_unstable_one():
    affinity, _ = blocks([4, 4])
    affinity.loc["m0"] = affinity.loc[:, "m0"] = [4.6, *[2.75] * 7]
    # In three of the four runs m0 leans to the second group, in one to the first.
    runs = []
    for lean in (0.3, 0.3, 0.3, -0.3):
        run = affinity.copy()
        run.loc["m0", ["m4", "m5", "m6", "m7"]] += lean
        run.loc[["m4", "m5", "m6", "m7"], "m0"] += lean
        runs.append(run)
    found = stability(runs[3], runs, most=2)
    chosen = found.models.set_index("model")
    assert chosen["cluster"].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert chosen.loc["m0", "stability"] == pytest.approx((3 * 1 / 8 + 1) / 4)
    assert chosen.loc["m1", "stability"] == pytest.approx((3 * 3 / 4 + 1) / 4)
    assert chosen.loc["m5", "stability"] == pytest.approx((3 * 4 / 5 + 1) / 4)
    assert chosen.loc["m0", ["next_cluster", "next_consensus"]].tolist() == [2, 0.75]
    assert found.consensus[2].loc["m0"].tolist() == [1, *[0.25] * 3, *[0.75] * 4]
    assert chosen["consensus_cluster"].nunique() == 2
    assert chosen.loc["m0", "consensus_cluster"] == chosen.loc["m5", "consensus_cluster"]
    leaning = adjusted_rand_score([1, 1, 1, 1, 2, 2, 2, 2], [2, 1, 1, 1, 2, 2, 2, 2])
    assert found.by_clusters["with_whole"].tolist() == pytest.approx([(3 * leaning + 1) / 4])
    assert found.by_clusters["between_runs"].tolist() == pytest.approx([(3 + 3 * leaning) / 6])


def test_models_that_a_run_lacks_do_not_count():
    affinity, _ = blocks([3, 3, 3])
    part = affinity.drop(index="m0", columns="m0")
    found = stability(affinity, [part, part, affinity], most=3)
    assert found.by_clusters.set_index("clusters").loc[3, "between_runs"] == 1
    assert found.consensus[3].loc["m0", "m1"] == 1
    assert (found.models.loc[found.models["clusters"] == 3, "stability"] == 1).all()
    alone = stability(affinity, [part, part], most=3)
    assert alone.consensus[3].loc["m0"].isna().all()


def test_a_pair_without_images_in_a_run_is_as_in_the_whole():
    affinity, _ = blocks([2, 3, 4])
    run = affinity.where(np.eye(9, dtype=bool))
    found = stability(affinity, [run, run.iloc[::-1, ::-1]], most=3)
    assert found.by_clusters["with_whole"].iloc[-1] == 1


@pytest.mark.parametrize("way", ["errors", pytest.param("starts", marks=pytest.mark.slow)])
def test_five_groups_of_the_published_matrix_are_stable_and_ten_are_not(published, way):
    draws = perturbed(published, sampling_error(published, 5000), draws=10) if way == "errors" else None
    found = stability(published, draws, most=10)
    by = found.by_clusters.set_index("clusters")["between_runs"]
    assert found.recommended in (5, 6)
    assert by[[2, 4, 5]].min() > 0.9
    assert by[[3, 8, 10]].max() < 0.85


@pytest.mark.parametrize(
    ("models", "draws", "most", "message"),
    [
        (3, None, None, "no number of clusters to choose from 2 to 1 of 3 models: give more models"),
        (4, None, 4, "no number of clusters to choose from 2 to 4 of 4 models"),
        (8, 1, None, "1 run cannot be compared with others: give at least two"),
        (8, 0.25, None, "a run has 2 models: choose at most 2 clusters, not 4"),
    ],
)
def test_what_has_no_stability_says_why(models, draws, most, message):
    affinity, _ = blocks([models])
    runs = {None: None, 1: [affinity], 0.25: thinned(affinity, share=0.25)}[draws]
    with pytest.raises(UserError, match=message):
        stability(affinity, runs, most=most)


def test_a_tree_of_groups_is_faithful_and_cut_into_them():
    affinity, group = blocks([2, 3, 4])
    tree = hierarchy(affinity)
    assert tree.cophenetic == pytest.approx(1)
    assert list(tree.cut(3)) == list(3 - group)
    assert [*dict.fromkeys(group[tree.leaves])] in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
    assert np.isnan(hierarchy(affinity.iloc[:2, :2]).cophenetic)
    with pytest.raises(UserError, match="10 clusters of 9 models"):
        tree.cut(10)


def test_the_published_tree_is_that_of_scikit_learn(published):
    tree = hierarchy(published)
    for clusters in (2, 10, 30):
        other = AgglomerativeClustering(clusters, metric="precomputed", linkage="average").fit(distances(published))
        assert adjusted_rand_score(tree.cut(clusters), other.labels_) == 1
    assert tree.cophenetic == pytest.approx(0.809, abs=5e-4)
    order = published.index[::-1]
    assert hierarchy(published.loc[order, order]).cophenetic == pytest.approx(tree.cophenetic)


def test_distances_are_logarithms_of_how_much_transfers():
    affinity = pd.DataFrame([[4.0, np.log(10)], [np.log(10), 4.6]], index=["a", "b"], columns=["a", "b"])
    np.testing.assert_allclose(distances(affinity), [[0, np.log(10)], [np.log(10), 0]])
