"""Placement: small pools worked out by hand, and the published matrix with each model left out in turn."""

import math

import numpy as np
import pandas as pd
import pytest

from sat_exp.errors import UserError
from sat_exp.statistics.clustering import spectral
from sat_exp.studies.place.placement import place

# Transfer rates in percent from the row's model to the column's: two pairs of relatives, and `new` beside the first.
NAMES = ["a1", "a2", "b1", "b2", "new"]
RATES = np.array(
    [
        [100, 60, 10, 12, 50],
        [50, 100, 12, 10, 40],
        [8, 10, 100, 50, 6],
        [6, 8, 60, 100, 4],
        [30, 40, 5, 10, 100],
    ]
)


def pairs(order=(0, 1, 2, 3, 4)):
    rows = []
    for at, i in enumerate(order):
        for j in order[at:]:
            ab, ba = RATES[i, j] / 100, RATES[j, i] / 100
            sat = math.log(100 * (ab + ba) / 2)
            rows.append((NAMES[i], NAMES[j], ab, ba, sat, sat - 0.1, sat + 0.2))
    columns = ["model_a", "model_b", "transfer_rate_ab", "transfer_rate_ba", "sat", "sat_low", "sat_high"]
    return pd.DataFrame(rows, columns=columns)


def of_matrix(sat):
    """A table of pairs with the values of a matrix, and equal rates in both directions."""
    rows, columns = np.triu_indices(len(sat))
    values = sat.to_numpy()[rows, columns]
    numbers = dict.fromkeys(["sat", "sat_low", "sat_high"], values)
    numbers |= dict.fromkeys(["transfer_rate_ab", "transfer_rate_ba"], np.exp(values) / 100)
    return pd.DataFrame({"model_a": sat.index[rows], "model_b": sat.index[columns]} | numbers)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 1, 3), (1, 4, 3, 0, 2)])
def test_a_small_pool_by_hand_whichever_model_comes_first(order):
    placed = place("new", pairs(order), 2)
    nearest = placed.nearest.set_index("model")
    assert set(nearest.index[:2]) == {"a1", "a2"}
    assert list(nearest.index[2:]) == ["b2", "b1"]
    assert nearest.loc["a1", "sat"] == pytest.approx(math.log(40))
    assert nearest.loc["a1", "sat_low"] == pytest.approx(math.log(40) - 0.1)
    assert nearest.loc["a1", "sat_high"] == pytest.approx(math.log(40) + 0.2)
    assert nearest.loc["a1", ["fools", "fooled_by"]].tolist() == [0.3, 0.5]
    assert nearest.loc["b2", ["fools", "fooled_by"]].tolist() == [0.1, 0.04]

    rates = placed.rates.set_index("role")
    # mean rates as source: a1 33, a2 28, b1 18.5, b2 19.5, new 21.25; as target: 23.5, 29.5, 21.75, 20.5, 25
    assert rates.loc["source", ["mean_rate", "rank", "models"]].tolist() == [pytest.approx(0.2125), 3, 5]
    assert rates.loc["source", ["most", "most_rate", "least", "least_rate"]].tolist() == ["a2", 0.4, "b1", 0.05]
    assert rates.loc["target", ["mean_rate", "rank", "models"]].tolist() == [pytest.approx(0.25), 2, 5]
    assert rates.loc["target", ["most", "most_rate", "least", "least_rate"]].tolist() == ["a1", 0.5, "b2", 0.04]

    first, second = placed.clusters.itertuples()
    assert {*first.members.split(", ")} == {"a1", "a2"}
    assert {*second.members.split(", ")} == {"b1", "b2"}
    assert first.mean_sat == pytest.approx(math.log(40))
    assert second.mean_sat == pytest.approx((math.log(5.5) + math.log(7)) / 2)
    assert placed.cluster == first.cluster
    assert placed.margin == pytest.approx(first.mean_sat - second.mean_sat)
    assert placed.mean_sat == pytest.approx((2 * math.log(40) + math.log(5.5) + math.log(7)) / 4)
    assert (placed.rank, placed.models) == (3, 5)  # behind a1 and a2


def test_the_others_clusters_do_not_depend_on_the_placed_model(published):
    others = published.index.drop("convnext_tiny")
    expected = spectral(published.loc[others, others], 10)
    placed = place("convnext_tiny", of_matrix(published), 10)
    for row in placed.clusters.itertuples():
        assert set(row.members.split(", ")) == set(expected.index[expected == row.cluster])
        assert row.models == len(row.members.split(", "))
        assert row.mean_sat == pytest.approx(published.loc["convnext_tiny", row.members.split(", ")].mean())
    assert placed.nearest["model"].iloc[0] == published["convnext_tiny"].drop("convnext_tiny").idxmax()


def test_one_cluster_has_no_second():
    assert math.isnan(place("new", pairs(), 1).margin)


def test_pairs_of_the_placed_model_may_be_missing():
    table = pairs()
    table = table[~((table.model_a == "b1") & (table.model_b == "new"))]
    placed = place("new", table, 2)
    assert list(placed.nearest["model"]) == ["a1", "a2", "b2"]
    assert placed.clusters["mean_sat"].iloc[1] == pytest.approx(math.log(7))
    assert placed.mean_sat == pytest.approx((2 * math.log(40) + math.log(7)) / 3)


@pytest.mark.parametrize(
    ("model", "table", "clusters", "message"),
    [
        ("new", pairs((0, 4)), 1, "new has SAT with 1 of 1 others"),
        ("new", pairs(), 5, "5 clusters of 4 models: choose 1 to 4"),
        ("new", pairs().query("not (model_a == 'a1' and model_b == 'b1')"), 2, "no SAT of a1 and b1"),
    ],
)
def test_what_cannot_be_placed_says_why(model, table, clusters, message):
    with pytest.raises(UserError, match=message):
        place(model, table, clusters)


@pytest.mark.slow
def test_most_published_models_return_to_their_cluster_when_left_out(published):
    """54 of 69; by chance it would be 7. Their margins tell: a median of 0.32 where they return, of 0.05 elsewhere."""
    whole, table = spectral(published, 10), of_matrix(published)
    margins = {True: [], False: []}
    for model in published.index:
        placed = place(model, table, 10)
        home = set(whole.index[whole == whole[model]]) - {model}
        groups = {row.cluster: set(row.members.split(", ")) for row in placed.clusters.itertuples()}
        nearest = max(groups, key=lambda cluster: len(home & groups[cluster]) / len(home | groups[cluster]))
        margins[placed.cluster == nearest].append(placed.margin)
    assert len(margins[True]) >= 52
    assert np.median(margins[True]) > 3 * np.median(margins[False])
