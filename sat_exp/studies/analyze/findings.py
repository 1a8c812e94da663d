"""The findings of an analysis in words, and on the terminal."""

from typing import Any

import pandas as pd

from sat_exp.tasks import printing

TABLES = {
    "regimes": (
        "architecture, initialisation and recipe",
        {"kind": "", "pairs": "d"} | dict.fromkeys(["mean", "low", "high", "least", "most"], ".2f"),
    ),
    "controls_and_sat": (
        "SAT and measures without a gradient",
        {"measure": "", "given": ""} | dict.fromkeys(["spearman", "low", "high"], ".2f") | {"p": ".3f"},
    ),
    "importance": (
        "components and similarity; shuffled: on models left out",
        {"component": ""} | dict.fromkeys(["importance", "shuffled", "p_alone", "p_given_others"], ".3f"),
    ),
}
"""The title and the formats of the columns of each printed table."""


def sentences(tables: dict[str, pd.DataFrame], facts: dict[str, Any]) -> list[str]:
    """The findings in words, from the tables and the facts of `structure.analysed`."""
    hubs = facts["hubs"]
    most = ", ".join(tables["hubs"].sort_values("occurrences", ascending=False)["model"].head(3))
    texts = [
        *(f"Clusters of {matrix}: {reason}." for matrix, reason in facts["clusters"].items()),
        f"Hubs: {hubs['explained']:.0%} of the variance of SAT is due to single models. The number of models that have "
        f"a model among their nearest has skewness {hubs['skewness']:.2f} (by chance {hubs['expected']:.2f}); it is "
        f"highest for {most}.",
    ]
    if "importance" in tables:
        first, second = tables["importance"]["component"].head(2).str.replace("_", " ")
        unseen = tables["importance"].sort_values("shuffled", ascending=False)["component"].iloc[0].replace("_", " ")
        texts.append(
            f"Components: {first} is the most important in the paper's measure, then {second}; for models left out, it "
            f"is {unseen}."
        )
    for test in tables.get("regime_tests", pd.DataFrame()).itertuples():
        texts.append(
            f"SAT of pairs of “{test.higher}” exceeds that of “{test.lower}” by {test.difference:.2f}, "
            f"p = {test.p:.2g} ({test.arrangements:,} {'' if test.exact else 'random '}arrangements of the labels)."
        )
    return texts


def show(tables: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    """Print the findings, the main tables, and the cautions."""
    console = printing.console()
    for text in (summary["title"], *summary["findings"]):
        console.print(text, soft_wrap=True)
    clusters = tables["clusters"].groupby("cluster")["model"].agg(", ".join).rename("models").reset_index()
    console.print(printing.table("clusters of SAT", clusters, {"cluster": "", "models": ""}))
    similar = tables["pairs_without_hubs"].head(5)
    formats = {"model_a": "", "model_b": "", "sat": ".2f", "expected": ".2f", "residual": "+.2f"}
    console.print(printing.table("more similar than their models' effects explain", similar, formats))
    for name, (title, formats) in TABLES.items():
        if name in tables:
            console.print(printing.table(title, tables[name], formats))
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)
