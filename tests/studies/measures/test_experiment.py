"""The numbers in the text of experiments/measures are those of its tables."""

import re
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[3] / "experiments/measures"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def relations():
    return pd.read_csv(FOLDER / "tables/measure_relations.csv").set_index(["measure_a", "measure_b"])


def said(row):
    numbers = [f"{row[name]:.2f}".replace("-", "−") for name in ("spearman", "low", "high")]
    return r"{}(?: \(|, ){} to {}".format(*numbers)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("sat", name) for name in ("jensen_shannon", "procrustes", "knn", "agreement", "cka", "boundaries")),
        ("sat", "sat_without_hubs"), ("cka", "debiased_cka"), ("cka", "procrustes"), ("jensen_shannon", "knn"),
    ],
)  # fmt: skip
def test_rank_correlations_are_those_of_the_table(relations, first, second):
    assert re.search(said(relations.loc[(first, second)]), TEXT)


def test_the_order_and_the_intervals_are_as_the_text_says(relations):
    with_sat = relations.loc["sat"].drop("sat_without_hubs")
    assert list(with_sat["spearman"].nlargest(3).index) == ["jensen_shannon", "knn", "procrustes"]
    assert with_sat["spearman"].idxmin() == "boundaries"
    assert (with_sat["low"] < 0).all()
    assert (with_sat["high"] > 0).all()
    assert (relations["pairs"] == 78).all()


def test_costs_are_those_of_the_table():
    costs = pd.read_csv(FOLDER / "tables/measure_costs.csv").set_index("measure")
    assert f"Networks took {costs.loc['sat', 'network_seconds']:.0f} s" in TEXT
    assert f"{costs.loc['boundaries', 'network_seconds']:.0f} s for the planes" in TEXT
    rest = costs[~costs["needs"].isin(["transfers", "boundaries"])]["network_seconds"]
    assert f"{rest.min():.0f} to {rest.max():.0f} s for" in TEXT
    assert costs["seconds"].idxmax() == "rsa"
    assert f"most {costs['seconds'].max():.0f} s" in " ".join(TEXT.split())
