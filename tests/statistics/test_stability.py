"""Stability of clusters: planted groups, unstable models by hand, the published matrix."""

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
from sat_exp.statistics.clustering import spectral
from sat_exp.statistics.stability import adjusted_rand, stability

from .planted import blocks, predicted


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
    assert adjusted_rand_score(spectral(whole, len(groups)), of) == 1
    apart = np.subtract.outer(of, of) != 0
    assert found.consensus[len(groups)].to_numpy()[apart].max() < found.consensus[len(groups)].to_numpy()[~apart].min()


@pytest.mark.parametrize("way", ["errors", "models"])
def test_the_number_of_groups_is_recovered_from_a_matrix(way):
    affinity, _ = blocks([6, 7, 8], noise=0.1, seed=3)
    rng = np.random.default_rng(0)
    kept = [np.sort(rng.choice(21, 17, replace=False)) for _ in range(25)]
    thinned = [affinity.iloc[some, some] for some in kept]
    draws = thinned if way == "models" else perturbed(affinity, affinity * 0 + 0.1, draws=25)
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
    clusters = spectral(affinity, 3).to_numpy()
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
    found = stability(runs[3], runs, most=2)
    assert found.consensus[2].loc["m0"].tolist() == [1, *[0.25] * 3, *[0.75] * 4]
    leaning = adjusted_rand_score([1, 1, 1, 1, 2, 2, 2, 2], [2, 1, 1, 1, 2, 2, 2, 2])
    assert found.by_clusters["with_whole"].tolist() == pytest.approx([(3 * leaning + 1) / 4])
    assert found.by_clusters["between_runs"].tolist() == pytest.approx([(3 + 3 * leaning) / 6])


def test_models_missing_from_a_run_do_not_count():
    affinity, _ = blocks([3, 3, 3])
    part = affinity.drop(index="m0", columns="m0")
    found = stability(affinity, [part, part, affinity], most=3)
    assert found.by_clusters.set_index("clusters").loc[3, "between_runs"] == 1
    assert found.consensus[3].loc["m0", "m1"] == 1
    assert set(found.consensus[3].to_numpy().ravel()) == {0, 1}
    alone = stability(affinity, [part, part], most=3)
    assert alone.consensus[3].loc["m0"].isna().all()


def test_a_pair_without_images_in_a_run_is_as_in_the_whole():
    affinity, _ = blocks([2, 3, 4])
    run = affinity.where(np.eye(9, dtype=bool))
    found = stability(affinity, [run, run.iloc[::-1, ::-1]], most=3)
    assert found.by_clusters["with_whole"].iloc[-1] == 1


def test_five_groups_of_the_published_matrix_are_stable_and_ten_are_not(published):
    found = stability(published, perturbed(published, sampling_error(published, 5000), draws=10), most=10)
    by = found.by_clusters.set_index("clusters")["between_runs"]
    assert found.recommended in (5, 6)
    assert by[[2, 4, 5]].min() > 0.9
    assert by[[3, 8, 10]].max() < 0.85


@pytest.mark.parametrize(
    ("models", "draws", "most", "message"),
    [
        (3, [], None, "no number of clusters to choose from 2 to 1 of 3 models: give more models"),
        (4, [], 4, "no number of clusters to choose from 2 to 4 of 4 models"),
        (8, [8], None, "1 run cannot be compared with others: give at least two"),
        (8, [2, 2], None, "a run has 2 models: choose at most 2 clusters, not 4"),
    ],
)
def test_what_has_no_stability_says_why(models, draws, most, message):
    affinity, _ = blocks([models])
    runs = [affinity.iloc[:size, :size] for size in draws]
    with pytest.raises(UserError, match=message):
        stability(affinity, runs, most=most)
