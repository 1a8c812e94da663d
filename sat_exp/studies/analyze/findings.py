"""The findings of an analysis in words, and on the terminal."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from rich.table import Column, Table

from sat_exp.tasks import printing, results


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
    clusters = Table("cluster", "models", title="clusters of SAT", title_justify="left")
    for number, members in tables["clusters"].groupby("cluster")["model"]:
        clusters.add_row(str(number), ", ".join(members))
    console.print(clusters)
    console.print(_similar(tables["pairs_without_hubs"].head(5)))
    printed = {"regimes": _regimes, "controls_and_sat": _controls, "importance": _importance}
    for name, table in printed.items():
        if name in tables:
            console.print(table(tables[name]))
    for warning in summary["warnings"]:
        console.print(printing.caution(warning), soft_wrap=True)


def _similar(pairs: pd.DataFrame) -> Table:
    columns = ["model A", "model B"], ["SAT", "expected", "residual"]
    rows = (
        (pair.model_a, pair.model_b, f"{pair.sat:.2f}", f"{pair.expected:.2f}", f"{pair.residual:+.2f}")
        for pair in pairs.itertuples()
    )
    return _table("more similar than their models' effects explain", *columns, rows)


def _regimes(averages: pd.DataFrame) -> Table:
    columns = ["pairs of"], ["pairs", "mean SAT", "95 %", "least", "most"]
    rows = (
        (row.kind, row.pairs, f"{row.mean:.2f}", _interval(row), f"{row.least:.2f}", f"{row.most:.2f}")
        for row in averages.itertuples()
    )
    return _table("architecture, initialisation and recipe", *columns, rows)


def _controls(relations: pd.DataFrame) -> Table:
    columns = ["measure", "given"], ["rank correlation", "95 %", "p"]
    rows = (
        (row.measure, row.given, f"{row.spearman:.2f}", _interval(row), f"{row.p:.3f}")
        for row in relations.itertuples()
    )
    return _table("SAT and measures without a gradient", *columns, rows)


def _importance(components: pd.DataFrame) -> Table:
    columns = ["component"], ["importance (paper's)", "models left out", "p alone", "p, others equal"]
    weights = components[["importance", "shuffled", "p_alone", "p_given_others"]].map("{:.3f}".format)
    return _table("components and similarity", *columns, weights.set_axis(components["component"]).itertuples())


def _table(title: str, left: list[str], right: list[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table with columns of text at the left and of numbers at the right."""
    columns = [Column(name, no_wrap=name == "component") for name in left]
    table = Table(*columns, *(Column(name, justify="right") for name in right), title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _interval(row: Any) -> str:
    return f"{results.number(row.low, '.2f')} to {results.number(row.high, '.2f')}"
