"""Stability of clusters: planted groups, unstable models worked out by hand, and the published matrix."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity import Predictions, score
from sat_exp.similarity.draws import perturbed, resampled
from sat_exp.similarity.matrices import sampling_error
from sat_exp.statistics.clustering import adjusted_rand, in_one_cluster, spectral, stability

from .planted import blocks, predicted


@settings(max_examples=25, deadline=None)
@given(items=st.integers(4, 12), runs=st.integers(2, 5), seed=st.integers(0, 10**6))
def test_adjusted_rand_is_that_of_scikit_learn(items, runs, seed):
    found = np.random.default_rng(seed).integers(0, 4, (runs, items))
    index = adjusted_rand(in_one_cluster(found))
    for (i, a), (j, b) in itertools.product(enumerate(found), repeat=2):
        assert index[i, j] == pytest.approx(adjusted_rand_score(a, b), abs=1e-9)


@pytest.mark.parametrize("groups", [[4, 4], [3, 4, 5], [3, 3, 3, 3]], ids=str)
def test_the_number_of_groups_is_recovered_from_resampled_images(groups):
    of = np.repeat(np.arange(len(groups)), groups)
    names, labels, clean, adversarial = predicted(of, within=0.3)
    whole = similarity.matrix(score(Predictions(names, labels, clean, adversarial), dict.fromkeys(names, "")))
    draws = resampled(Predictions(names, labels, clean, adversarial), resamples=25)
    found = stability(whole, draws, changed="images")
    assert found.recommended == len(groups)
    assert f"K = {len(groups)} is the largest at which two clusterings from other images agree" in found.reason
    assert adjusted_rand_score(spectral(whole, len(groups)), of) == 1
    apart = np.subtract.outer(of, of) != 0
    assert found.consensus[len(groups)].to_numpy()[apart].max() < found.consensus[len(groups)].to_numpy()[~apart].min()


def test_the_number_of_groups_is_recovered_from_a_matrix():
    affinity, _ = blocks([6, 7, 8], noise=0.1, seed=3)
    found = stability(affinity, perturbed(affinity, affinity * 0 + 0.1, draws=25), changed="errors", most=6)
    assert found.recommended == 3
    assert list(found.by_clusters["clusters"]) == [2, 3, 4, 5, 6]


def test_without_groups_no_number_of_them_is_called_stable():
    affinity, _ = blocks([16], noise=0.1)
    found = stability(affinity, perturbed(affinity, affinity * 0 + 0.1, draws=15), changed="errors")
    assert "no K reaches 0.9" in found.reason
    assert found.by_clusters["between_runs"].max() < 0.6


def test_runs_that_are_alike_are_perfectly_stable():
    affinity, _ = blocks([2, 3, 4])
    found = stability(affinity, [affinity, affinity.iloc[::-1, ::-1]], changed="images", most=3)
    assert (found.by_clusters.loc[1, ["between_runs", "with_whole", "with_whole_low", "with_tree"]] == 1).all()
    clusters = spectral(affinity, 3).to_numpy()
    np.testing.assert_array_equal(found.clusters[3], clusters)
    expected = clusters[:, None] == clusters
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
    found = stability(runs[3], runs, changed="images", most=2)
    assert found.consensus[2].loc["m0"].tolist() == [1, *[0.25] * 3, *[0.75] * 4]
    leaning = adjusted_rand_score([1, 1, 1, 1, 2, 2, 2, 2], [2, 1, 1, 1, 2, 2, 2, 2])
    assert found.by_clusters["with_whole"].tolist() == pytest.approx([(3 * leaning + 1) / 4])
    assert found.by_clusters["between_runs"].tolist() == pytest.approx([(3 + 3 * leaning) / 6])


def test_a_pair_without_images_in_a_run_is_as_in_the_whole():
    affinity, _ = blocks([2, 3, 4])
    run = affinity.where(np.eye(9, dtype=bool))
    found = stability(affinity, [run, run.iloc[::-1, ::-1]], changed="images", most=3)
    assert found.by_clusters["with_whole"].iloc[-1] == 1


def test_five_groups_of_the_published_matrix_are_stable_and_ten_are_not(published):
    draws = perturbed(published, sampling_error(published, 5000), draws=10)
    found = stability(published, draws, changed="errors", most=10)
    by = found.by_clusters.set_index("clusters")["between_runs"]
    assert found.recommended in (5, 6)
    assert by[[2, 4, 5]].min() > 0.9
    assert by[[3, 8, 10]].max() < 0.85


def test_one_run_has_no_stability():
    affinity, _ = blocks([8])
    with pytest.raises(UserError, match="1 run cannot be compared with others: give at least two"):
        stability(affinity, [affinity], changed="images")
