"""For pairs, the results of `statistics.relations`; for any size, planted relations and none."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sat_exp.statistics.relations import model_permutation_p, relation
from sat_exp.studies.ensemble import diversity, groups
from sat_exp.studies.ensemble.members import Ensembles, members_of, ranks


def pool(models, size, rng, effect=0.0):
    """Ensembles whose reduction falls by `effect` with their mean SAT, plus noise; and the properties of ensembles."""
    sat = rng.normal(2.7, 0.3, (models, models))
    sat, errors, clusters = (sat + sat.T) / 2, rng.uniform(0.15, 0.3, models), rng.integers(0, 3, models)
    members = members_of(models, size, ranks(models, size))
    properties = diversity.properties({"sat": sat}, clusters, errors)
    table = pd.DataFrame({"size": size, **{name: value(members) for name, value in properties.items()}})
    table = table.astype({"clusters": np.int64})
    table["reduction"] = -effect * table["sat"] + rng.normal(0, 0.05, len(table))
    table["error"] = table["members_error"] * (1 - table["reduction"])
    table["all_wrong"] = table["error"] / 2
    return Ensembles(members, table, models), properties


def test_pairs_have_the_correlations_intervals_and_p_of_relations():
    rng = np.random.default_rng(0)
    ensembles, properties = pool(11, 2, rng, effect=0.1)
    drawing = {"resamples": 200, "seed": 3}
    ours = diversity.relation(ensembles, properties, ["reduction"], predictors=["sat"], permutations=0, **drawing)
    pairs = ensembles.table.assign(model_a=ensembles.members[:, 0], model_b=ensembles.members[:, 1])
    theirs = relation(
        pairs, ["reduction"], ["members_error", "accuracy_gap"], resamples=200, permutations=0, seed=[3, 2]
    )
    assert ours["given"].tolist() == theirs["given"].tolist()
    for name in ("spearman", "low", "high"):
        assert ours[name].to_numpy() == pytest.approx(theirs[name].to_numpy())


def test_p_of_pairs_is_that_of_relations():
    rng = np.random.default_rng(1)
    ensembles, properties = pool(9, 2, rng, effect=0.1)
    ours = diversity.relation(
        ensembles, properties, ["reduction"], predictors=["sat"], resamples=0, permutations=150, seed=5
    )
    ranks = ensembles.table[["sat", "reduction", "members_error", "accuracy_gap"]].rank().to_numpy()
    for row, controls in enumerate(([], [2, 3])):
        p = model_permutation_p(
            *ensembles.members.T, ranks[:, 0], ranks[:, 1], ranks[:, controls], 150, np.random.default_rng([5, 2])
        )
        assert ours["p"][row] == pytest.approx(p)


@pytest.mark.parametrize("size", [3, 5])
def test_a_planted_relation_is_found_and_its_interval_contains_it(size):
    ensembles, properties = pool(14, size, np.random.default_rng(2), effect=1.0)
    table = diversity.relation(ensembles, properties, ["reduction"], resamples=100, permutations=99)
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
        ensembles, properties = pool(9, 3, rng)
        ensembles.table["reduction"] = rng.normal(size=9)[ensembles.members].sum(axis=1)
        quick = {"resamples": 0, "permutations": 39, "predictors": ["sat"], "seed": seed}
        ours.append(diversity.relation(ensembles, properties, ["reduction"], **quick)["p"])
        independent.append(spearmanr(ensembles.table["sat"], ensembles.table["reduction"]).pvalue)
    assert np.mean(np.array(ours) <= 0.1, axis=0) == pytest.approx([0.1, 0.1], abs=0.08)
    assert np.mean(np.array(ours) <= 0.5, axis=0) == pytest.approx([0.5, 0.5], abs=0.15)
    assert np.mean(np.array(independent) <= 0.1) > 0.3


def test_many_ensembles_are_sampled_for_intervals_alone(monkeypatch):
    monkeypatch.setattr(diversity, "SAMPLE", 150)
    ensembles, properties = pool(14, 4, np.random.default_rng(4), effect=0.5)
    table = diversity.relation(ensembles, properties, ["reduction"], resamples=20, permutations=19, controls=[])
    assert (table["ensembles"] == 1001).all()
    assert (table["used"] == 150).all()
    assert table["spearman"][0] == pytest.approx(
        spearmanr(ensembles.table["sat"], ensembles.table["reduction"]).statistic
    )


def test_what_does_not_vary_has_no_correlation():
    ensembles, properties = pool(7, 3, np.random.default_rng(5))
    ensembles.table["reduction"] = 0.25
    table = diversity.relation(ensembles, properties, ["reduction"], resamples=5, permutations=5)
    assert table[["spearman", "low", "high", "p"]].isna().all(axis=None)


def test_clusters_are_counted_and_averaged():
    ensembles, _ = pool(12, 3, np.random.default_rng(6))
    table = groups.by_clusters(ensembles, resamples=50).set_index("clusters")
    by_number = ensembles.table.groupby("clusters")
    assert table["ensembles"].sum() == len(ensembles.members)
    assert table["reduction"].to_numpy() == pytest.approx(by_number["reduction"].mean().to_numpy())
    many = table["ensembles"] >= 5
    assert (table["reduction_low"] < table["reduction_high"]).tolist() == many.tolist()


def test_matched_ensembles_differ_in_sat_and_not_in_accuracy():
    ensembles, _ = pool(14, 3, np.random.default_rng(7), effect=1.0)
    confounded = ensembles.table.assign(reduction=ensembles.table["members_error"] - ensembles.table["sat"] * 0.0)
    table = groups.matched(ensembles, resamples=100)
    assert table["group"].tolist() == ["1", "2", "3", "4", "5", "all"]
    whole = table.iloc[-1]
    assert whole.low > 0
    assert whole.members_error_unlike == pytest.approx(whole.members_error_alike, abs=0.003)
    nothing = groups.matched(Ensembles(ensembles.members, confounded, 14), resamples=100).iloc[-1]
    assert nothing.low < 0 < nothing.high


def test_parts_by_sat_are_of_one_size():
    ensembles, _ = pool(12, 3, np.random.default_rng(8))
    table = groups.binned(ensembles, bins=4)
    assert table["ensembles"].tolist() == [55] * 4
    assert (table["value_high"].to_numpy()[:-1] <= table["value_low"].to_numpy()[1:]).all()
    assert len(groups.binned(ensembles)) == 11


def test_ensembles_without_a_reduction_make_no_rows():
    """On a few images no member may err, so nothing can be reduced."""
    members = np.array([[0, 1], [0, 2]])
    table = pd.DataFrame(
        {
            "size": 2, "error": 0.0, "members_error": 0.0, "reduction": np.nan, "all_wrong": 0.0, "clusters": [1, 2],
        }
    )  # fmt: skip
    assert groups.by_clusters(Ensembles(members, table, 3), resamples=5).empty
