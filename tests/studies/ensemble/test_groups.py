"""Means over groups of synthetic ensembles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sat_exp.ensembles.members import Ensembles
from sat_exp.studies.ensemble import diversity

from .synthetic import pool


def test_clusters_are_counted_and_averaged():
    ensembles = pool(12, 3, np.random.default_rng(6))
    table = diversity.by_clusters(ensembles, resamples=50, seed=0).set_index("clusters")
    by_number = ensembles.table.groupby("clusters")
    assert table["ensembles"].sum() == len(ensembles.members)
    assert table["reduction"].to_numpy() == pytest.approx(by_number["reduction"].mean().to_numpy())
    many = table["ensembles"] >= 5
    assert (table["reduction_low"] < table["reduction_high"]).tolist() == many.tolist()


def test_matched_ensembles_differ_in_sat_and_not_in_accuracy():
    ensembles = pool(14, 3, np.random.default_rng(7), effect=1.0)
    confounded = ensembles.table.assign(reduction=ensembles.table["members_error"] - ensembles.table["sat"] * 0.0)
    table = diversity.matched(ensembles, resamples=100, seed=0)
    assert table["group"].tolist() == ["1", "2", "3", "4", "5", "all"]
    whole = table.iloc[-1]
    assert whole.low > 0
    assert whole.members_error_unlike == pytest.approx(whole.members_error_alike, abs=0.003)
    nothing = diversity.matched(replace(ensembles, table=confounded), resamples=100, seed=0).iloc[-1]
    assert nothing.low < 0 < nothing.high


def test_parts_by_sat_are_of_one_size(monkeypatch):
    ensembles = pool(12, 3, np.random.default_rng(8))
    assert len(diversity.binned(ensembles, "sat")) == 11
    monkeypatch.setattr(diversity, "BINS", 4)
    table = diversity.binned(ensembles, "sat")
    assert table["ensembles"].tolist() == [55] * 4
    assert (table["value_high"].to_numpy()[:-1] <= table["value_low"].to_numpy()[1:]).all()


def test_ensembles_without_a_reduction_make_no_rows():
    """On a few images no member may err, so nothing can be reduced."""
    members = np.array([[0, 1], [0, 2]])
    table = pd.DataFrame(
        {
            "size": 2, "error": 0.0, "members_error": 0.0, "reduction": np.nan, "all_wrong": 0.0, "clusters": [1, 2],
        }
    )  # fmt: skip
    assert diversity.by_clusters(Ensembles(members, table, 3, {}), resamples=5, seed=0).empty
