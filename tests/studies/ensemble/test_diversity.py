"""Relations of the error reduction: for pairs those of `statistics.relations`; for other sizes planted ones or none."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sat_exp.statistics.relations import model_permutation_p, relation
from sat_exp.studies.ensemble import diversity

from .synthetic import pool


def test_pairs_have_the_correlations_intervals_and_p_of_relations():
    rng = np.random.default_rng(0)
    ensembles = pool(11, 2, rng, effect=0.1)
    drawing = {"resamples": 200, "seed": 3}
    ours = diversity.relation(ensembles, ["reduction"], ["sat"], permutations=0, **drawing)
    pairs = ensembles.table.assign(model_a=ensembles.members[:, 0], model_b=ensembles.members[:, 1])
    theirs = relation(
        pairs, ["reduction"], ["members_error", "accuracy_gap"], resamples=200, permutations=0, seed=[3, 2]
    )
    assert ours["given"].tolist() == theirs["given"].tolist()
    for name in ("spearman", "low", "high"):
        assert ours[name].to_numpy() == pytest.approx(theirs[name].to_numpy())


def test_p_of_pairs_is_that_of_relations():
    rng = np.random.default_rng(1)
    ensembles = pool(9, 2, rng, effect=0.1)
    ours = diversity.relation(ensembles, ["reduction"], ["sat"], resamples=0, permutations=150, seed=5)
    ranks = ensembles.table[["sat", "reduction", "members_error", "accuracy_gap"]].rank().to_numpy()
    for row, controls in enumerate(([], [2, 3])):
        p = model_permutation_p(
            *ensembles.members.T, ranks[:, 0], ranks[:, 1], ranks[:, controls], 150, np.random.default_rng([5, 2])
        )
        assert ours["p"][row] == pytest.approx(p)


@pytest.mark.parametrize("size", [3, 5])
def test_a_planted_relation_is_found_and_its_interval_contains_it(size):
    ensembles = pool(14, size, np.random.default_rng(2), effect=1.0)
    table = diversity.relation(ensembles, ["reduction"], ["sat", "clusters"], resamples=100, permutations=99, seed=0)
    plain = table[(table["with"] == "sat") & (table["given"] == "")].iloc[0]
    assert plain.spearman == pytest.approx(spearmanr(ensembles.table["sat"], ensembles.table["reduction"]).statistic)
    assert plain.low <= plain.spearman <= plain.high < -0.3
    assert plain.p == 0.01
    assert (table["ensembles"] == len(ensembles.members)).all()


def test_p_is_uniform_where_ensembles_share_members_and_there_is_nothing():
    """The gain and SAT depend on the models; scipy assumes independent ensembles."""
    rng = np.random.default_rng(3)
    ours, independent = [], []
    for seed in range(120):
        ensembles = pool(9, 3, rng)
        ensembles.table["reduction"] = rng.normal(size=9)[ensembles.members].sum(axis=1)
        quick = {"resamples": 0, "permutations": 39, "seed": seed}
        ours.append(diversity.relation(ensembles, ["reduction"], ["sat"], **quick)["p"])
        independent.append(spearmanr(ensembles.table["sat"], ensembles.table["reduction"]).pvalue)
    assert np.mean(np.array(ours) <= 0.1, axis=0) == pytest.approx([0.1, 0.1], abs=0.08)
    assert np.mean(np.array(ours) <= 0.5, axis=0) == pytest.approx([0.5, 0.5], abs=0.15)
    assert np.mean(np.array(independent) <= 0.1) > 0.3


def test_many_ensembles_are_sampled_for_intervals_alone(monkeypatch):
    monkeypatch.setattr(diversity, "SAMPLE", 150)
    ensembles = pool(14, 4, np.random.default_rng(4), effect=0.5)
    table = diversity.relation(ensembles, ["reduction"], ["sat", "clusters"], resamples=20, permutations=19, seed=0)
    assert (table["ensembles"] == 1001).all()
    assert (table["used"] == 150).all()
    assert table["spearman"][0] == pytest.approx(
        spearmanr(ensembles.table["sat"], ensembles.table["reduction"]).statistic
    )


def test_what_does_not_vary_has_no_correlation():
    ensembles = pool(7, 3, np.random.default_rng(5))
    ensembles.table["reduction"] = 0.25
    table = diversity.relation(ensembles, ["reduction"], ["sat", "clusters"], resamples=5, permutations=5, seed=0)
    assert table[["spearman", "low", "high", "p"]].isna().all(axis=None)
