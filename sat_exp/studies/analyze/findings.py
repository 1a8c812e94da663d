"""The findings of an analysis in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import value, with_ends
from sat_exp.statistics.clustering import EXCELLENT
from sat_exp.tasks import printing

UNLIKELY = 0.05
"""The p value above which a difference is called uncertain."""

WORDS = {
    "same architecture": "one architecture",
    "other architecture": "different architectures",
    "same recipe": "one recipe",
    "recipe": "one architecture but different recipes",
}
"""The kinds of pairs in a sentence."""

TABLES = {
    "regimes": (
        "architecture, initialisation and recipe",
        {"kind": "", "pairs": "d"} | dict.fromkeys(["mean", "low", "high"], ".2f"),
    ),
    "importance": (
        "components and similarity; shuffled: on models left out",
        {"component": ""} | dict.fromkeys(["importance", "shuffled", "p_alone"], ".3f"),
    ),
}
"""The title and the formats of the columns of each printed table."""


def sentences(tables: Mapping[str, pd.DataFrame], changed: str) -> list[str]:
    """Clusters, hubs, and what makes networks alike: their training or, where no group is declared, their components.
    changed: what differs between the clusterings, in words."""
    tests = tables.get("regime_tests", pd.DataFrame())
    if len(tests):
        last = [of_regimes(tests.iloc[0])]
    else:
        last = [of_components(tables["importance"])] if "importance" in tables else []
    return [of_clusters(tables["clusters"], tables["cluster_stability"], changed), of_hubs(tables["hubs"]), *last]


def of_clusters(clusters: pd.DataFrame, stability: pd.DataFrame, changed: str) -> str:
    count = clusters["cluster"].nunique()
    agreement = stability[(stability["matrix"] == "SAT") & (stability["clusters"] == count)]["between_runs"]
    if agreement.empty:
        return f"The {len(clusters)} models are in {count} clusters, as the command set."
    index = f"adjusted Rand index {agreement.iloc[0]:.2f}"
    if agreement.iloc[0] >= EXCELLENT:
        sizes = clusters["cluster"].value_counts()
        alone = f", {(sizes == 1).sum()} of one model" * bool((sizes == 1).any())
        return (
            f"The {len(clusters)} models form {count} clusters{alone}, and these are stable: analyses with other "
            f"{changed} agree ({index})."
        )
    return (
        f"The {len(clusters)} models form no certain clusters: even with {count}, the most stable number examined, "
        f"analyses with other {changed} differ ({index})."
    )


def of_hubs(hubs: pd.DataFrame) -> str:
    most, least = hubs.loc[hubs["mean_sat"].idxmax()], hubs.loc[hubs["mean_sat"].idxmin()]
    return (
        f"{most['model']} is the most like all others (mean SAT {most['mean_sat']:.2f}), {least['model']} the least "
        f"({least['mean_sat']:.2f})."
    )


def of_regimes(test: pd.Series) -> str:
    """A comparison of pairs by what the two networks share. test: a row of the table `regime_tests`."""
    one, other = (WORDS.get(test[side], test[side]) for side in ("higher", "lower"))
    numbers = f"SAT differs by {value(with_ends(test, 'difference'), 'difference')}, p = {test['p']:.2g}"
    if test["p"] > UNLIKELY or not test["low"] > 0:
        return f"Whether pairs of {one} are more alike than pairs of {other} is uncertain: {numbers}."
    return f"Pairs of {one} are more alike than pairs of {other}: {numbers}."


def of_components(importance: pd.DataFrame) -> str:
    """The component that predicts SAT best for models left out, if one certainly does."""
    best = importance.loc[importance["shuffled"].idxmax()]
    name, lost = best["component"].replace("_", " "), value(best, "shuffled")
    if not best["shuffled_low"] > 0:
        return f"No component certainly predicts SAT of new models: the best is {name}, with a share of R² of {lost}."
    return f"Of the components, {name} predicts SAT of new models best: without it, R² falls by {lost}."


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The clusters, and what makes networks alike."""
    clusters = tables["clusters"].groupby("cluster")["model"].agg("\n".join).rename("models").reset_index()
    yield printing.table("clusters of SAT", clusters, {"cluster": "", "models": ""})
    for name, (title, formats) in TABLES.items():
        if name in tables:
            yield printing.table(title, tables[name], formats)
