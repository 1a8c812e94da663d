"""Training regimes: their kinds by hand, all arrangements, p values under the null, and the coverage of intervals."""

import math
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.studies.analyze.regimes import partition_count, partitions, regimes

QUICK = {"resamples": 50}


def square(values):
    upper = np.triu(values, 1)
    names = [f"m{place}" for place in range(len(values))]
    return pd.DataFrame(upper + upper.T + np.log(100) * np.eye(len(values)), index=names, columns=names)


def hubs(models, rng, spread=1.0):
    own = spread * rng.normal(size=models)
    return square(2.5 + own[:, None] + own[None, :] + 0.5 * rng.normal(size=(models, models)))


def grouped(sat, architectures, **more):
    return pd.DataFrame({"architecture": architectures, **more}, index=sat.index)


@pytest.fixture
def six():
    """r0 and r1 differ in their seed, r2 in its recipe, r3 declares what r0 does; c is alone, and d says nothing."""
    names = ["r0", "r1", "r2", "r3", "c", "d"]
    sat = pd.DataFrame(np.arange(36.0).reshape(6, 6), index=names, columns=names)
    groups = pd.DataFrame(
        {
            "architecture": ["r", "r", "r", "r", "c"],
            "seed": [0, 1, 0, 0, None],
            "recipe": [None, None, "sgd", None, "sgd"],
        },
        index=names[:5],
    )
    return np.triu(sat, 1) + np.triu(sat, 1).T + 0 * sat, groups


def test_kinds_by_hand(six):
    found = regimes(*six, **QUICK)
    kinds = found["regime_pairs"].set_index(["model_a", "model_b"])["kind"]
    assert kinds["r0", "r1"] == kinds["r1", "r3"] == "initialisation"
    assert kinds["r0", "r2"] == kinds["r1", "r2"] == kinds["r2", "r3"] == "recipe"
    assert kinds["r0", "r3"] == "undeclared"
    assert set(kinds.filter(regex="c|d")) == {"other architecture"}
    table = found["regimes"].set_index("kind")
    assert table.loc["initialisation", ["pairs", "models", "architectures"]].tolist() == [2, 3, 1]
    assert table.loc["initialisation", ["mean", "least", "most"]].tolist() == [(1 + 9) / 2, 1, 9]
    assert table["pairs"].to_dict() == {
        "initialisation": 2,
        "recipe": 3,
        "undeclared": 1,
        "same recipe": 3,
        "same architecture": 6,
        "other architecture": 9,
        "all": 15,
    }
    assert table.loc["all", "mean"] == pytest.approx(found["regime_pairs"]["sat"].mean())
    assert table.loc["undeclared", ["low", "high", "sd"]].isna().all()
    assert table.loc["all", ["models", "architectures"]].tolist() == [6, 3]


def test_what_is_not_declared(six):
    sat, groups = six
    pairs = regimes(sat, groups.drop(columns="recipe"), **QUICK)["regime_pairs"].set_index(["model_a", "model_b"])
    assert pairs.loc[("r0", "c"), ["architecture_a", "architecture_b"]].tolist() == ["r", "c"]
    assert pairs.loc[("c", "d"), ["architecture_a", "architecture_b"]].tolist() == ["c", "d"]
    assert pairs.loc[("r0", "r1"), "kind"] == "initialisation"
    assert pairs.loc[("r0", "r2"), "kind"] == "undeclared"
    named = regimes(sat.iloc[:2, :2], pd.DataFrame({"architecture": ["r0"]}, index=["r1"]), **QUICK)["regime_pairs"]
    assert named["architecture_b"].tolist() == ["r0"]
    assert named["kind"].tolist() == ["undeclared"]

    none = regimes(sat, pd.DataFrame(), **QUICK)
    assert none["regimes"]["kind"].tolist() == ["other architecture", "all"]
    assert none["regime_tests"].empty


def test_p_is_the_share_of_every_arrangement(six):
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 1, 1, 2, 3])
    sat = hubs(6, rng)
    first, second = np.triu_indices(6, 1)
    values = sat.to_numpy()[first, second]

    def difference(order):
        same = labels[list(order)][first] == labels[list(order)][second]
        return values[same].mean() - values[~same].mean()

    every = np.array([difference(order) for order in permutations(range(6))])
    test = regimes(sat, grouped(sat, labels), **QUICK)["regime_tests"].iloc[0]
    assert test[["arrangements", "exact"]].tolist() == [45, True]  # 6!/(2!·2!)/2!/2!
    assert test["difference"] == pytest.approx(every[0])
    assert test["p"] == pytest.approx((every >= every[0] - 1e-9).mean())

    drawn = regimes(sat, grouped(sat, labels), arrangements=44, **QUICK)["regime_tests"].iloc[0]
    assert drawn[["arrangements", "exact"]].tolist() == [44, False]
    many = regimes(*six, arrangements=3, **QUICK)["regime_tests"]
    assert many["exact"].tolist() == [False, False]


def test_recipes_are_exchanged_inside_their_architecture(six):
    sat, groups = six
    test = regimes(sat, groups, **QUICK)["regime_tests"].set_index("higher").loc["same recipe"]
    assert test[["pairs_higher", "pairs_lower", "arrangements", "exact"]].tolist() == [3, 3, 4, True]
    # Pairs of the four, by which one stands alone: r0, r1, r2 or r3.
    r = sat.to_numpy()
    alone = [r[i, [j for j in range(4) if j != i]].sum() for i in range(4)]
    total = r[:4, :4].sum() / 2
    differences = [(total - part) / 3 - part / 3 for part in alone]
    assert test["difference"] == pytest.approx(differences[2])
    assert test["p"] == np.mean(np.array(differences) >= differences[2])


@pytest.mark.parametrize("sizes", [[3, 2, 1, 1], [2, 2, 2], [3, 3, 1], [1, 1, 1], [4], [2, 2, 1, 1, 1]])
def test_every_way_once(sizes):
    ways = [frozenset(map(frozenset, groups)) for groups in partitions(range(sum(sizes)), sizes)]
    assert len(ways) == len(set(ways)) == partition_count(sizes)
    assert {tuple(sorted(map(len, way), reverse=True)) for way in ways} == {tuple(s for s in sizes if s > 1)}


def test_p_is_uniform_where_architecture_says_nothing_but_models_differ():
    rng = np.random.default_rng(1)
    p = []
    for _ in range(300):
        sat = hubs(8, rng)
        p.append(regimes(sat, grouped(sat, [0, 0, 0, 1, 1, 2, 3, 4]), resamples=1)["regime_tests"]["p"][0])
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.04)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.08)


def test_a_planted_likeness_is_found_in_the_published_pool(published):
    """Of twelve models three architectures are made up; what they are given more is found again."""
    sat = published.iloc[:12, :12].copy()
    labels = np.repeat([0, 1, 2, *range(3, 9)], [2, 2, 2, *[1] * 6])
    same = (labels[:, None] == labels[None, :]) & ~np.eye(12, dtype=bool)
    before = regimes(sat, grouped(sat, labels), **QUICK)["regime_tests"].iloc[0]
    after = regimes(sat + 1.5 * same, grouped(sat, labels), resamples=300)["regime_tests"].iloc[0]
    assert after["difference"] == pytest.approx(before["difference"] + 1.5)
    assert after["exact"]
    assert after["p"] < 0.01
    assert after["low"] > 0.5


def test_intervals_cover_the_mean_of_architectures_not_drawn():
    """Eight architectures of three seeds each, alike by an amount of each architecture's own."""
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(8), 3)
    same = labels[:, None] == labels[None, :]
    covered = []
    for seed in range(100):
        sat = square(2 + same * (1 + 0.4 * rng.normal(size=8)[labels])[:, None] + 0.1 * rng.normal(size=(24, 24)))
        groups = grouped(sat, labels, seed=[0, 1, 2] * 8)
        found = regimes(sat, groups, resamples=100, arrangements=2, seed=seed)["regimes"].set_index("kind")
        covered.append(found.loc["initialisation", "low"] <= 3 <= found.loc["initialisation", "high"])
    assert np.mean(covered) >= 0.85


def test_intervals_are_those_of_drawing_architectures_and_then_their_models():
    """Against the scheme written out with loops, for three architectures of three models and one of one."""
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])
    sat = hubs(10, rng)
    means = {"same architecture": [], "other architecture": []}
    for _ in range(3000):
        copies = [rng.choice(np.flatnonzero(labels == g), 3) for g in rng.integers(0, 3, 3)] + [np.array([9])]
        within = [(i, j) for copy in copies for i, j in combinations(copy, 2) if i != j]
        between = [(i, j) for c, d in combinations(copies, 2) for i in c for j in d if labels[i] != labels[j]]
        for kind, drawn in zip(means, (within, between), strict=True):
            means[kind].append(np.mean([sat.iat[i, j] for i, j in drawn]) if drawn else np.nan)
    found = regimes(sat, grouped(sat, labels), resamples=3000, arrangements=2)["regimes"].set_index("kind")
    for kind, drawn in means.items():
        expected = np.nanquantile(drawn, [0.025, 0.975])
        assert found.loc[kind, ["low", "high"]].tolist() == pytest.approx(expected, abs=0.05 * np.ptp(expected))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), models=st.integers(4, 7))
def test_neither_order_nor_names_matter(seed, models):
    rng = np.random.default_rng(seed)
    sat = hubs(models, rng)
    groups = grouped(sat, rng.integers(0, 3, models), recipe=rng.integers(0, 2, models))
    order = list(rng.permutation(sat.index))
    renamed = groups.assign(architecture=groups["architecture"].map({0: "z", 1: "y", 2: "x"}))
    one, other = regimes(sat, groups, resamples=2), regimes(sat.loc[order, order], renamed, resamples=2)
    columns = ["kind", "pairs", "models", "architectures", "mean", "least", "most"]
    pd.testing.assert_frame_equal(one["regimes"][columns], other["regimes"][columns])
    pd.testing.assert_frame_equal(
        one["regime_tests"][["difference", "p", "exact"]], other["regime_tests"][["difference", "p", "exact"]]
    )


def test_unknown_pairs_are_left_out(six):
    sat, groups = six
    sat.loc["r0", "r1"] = sat.loc["r1", "r0"] = np.nan
    found = regimes(sat, groups, **QUICK)
    assert len(found["regime_pairs"]) == 14
    assert found["regimes"].set_index("kind").loc["initialisation", "pairs"] == 1
    assert math.isfinite(found["regime_tests"]["p"][0])
