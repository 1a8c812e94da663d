"""The findings of a comparison of measures in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp.tasks import printing

SAT = "sat"


def sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Which measures order the pairs like SAT, which two are most alike, and what the outputs of networks cost."""
    relations, costs = tables["measure_relations"].dropna(subset="spearman"), tables["measure_costs"]
    variants = {SAT, *costs.loc[costs["needs"] == "transfers", "measure"]}
    found = []
    with_sat = to_sat(relations)
    with_sat = with_sat[~with_sat["measure"].isin(variants)]
    if len(with_sat):
        best, last = with_sat.iloc[0], with_sat.iloc[-1]
        name, count = best["measure"], f"{len(with_sat)} measures without an attack"
        if best["low"] > 0:
            found.append(f"Of {count}, {name} orders the pairs most like SAT: {of(best)}.")
        else:
            found.append(f"None of {count} certainly orders the pairs as SAT does: the best is {name}, {of(best)}.")
        if len(with_sat) > 1:
            found.append(f"{last['measure']} orders them least like SAT: {of(last)}.")
    apart = relations[~relations[["measure_a", "measure_b"]].isin(variants).any(axis=1)]
    if len(apart):
        pair = apart.loc[apart["spearman"].idxmax()]
        found.append(f"Of these, {pair['measure_a']} and {pair['measure_b']} are most alike: {of(pair)}.")
    return [*found, cost(costs)]


def to_sat(relations: pd.DataFrame) -> pd.DataFrame:
    """The relations with SAT, the highest rank correlation first; measure: the other one."""
    rows = relations[(relations["measure_a"] == SAT) | (relations["measure_b"] == SAT)]
    other = rows["measure_a"].where(rows["measure_a"] != SAT, rows["measure_b"])
    return rows.assign(measure=other).sort_values("spearman", ascending=False, kind="stable")


def of(row: pd.Series) -> str:
    """A rank correlation with its interval over models."""
    interval = f" ({row['low']:.2f} to {row['high']:.2f})" if np.isfinite(row["low"]) else ""
    return f"rank correlation {row['spearman']:.2f}{interval}"


def cost(costs: pd.DataFrame) -> str:
    """The most and the least expensive outputs of networks."""
    by_needs = costs.groupby("needs")["network_seconds"].max().dropna().sort_values()
    if by_needs.empty:
        return "The cost of the outputs of networks is not known."
    least, most = by_needs.index[0], by_needs.index[-1]
    return (
        f"Networks took {by_needs.iloc[-1]:,.1f} s for what {words(costs, most)}, and "
        f"{by_needs.iloc[0]:,.1f} s for what {words(costs, least)}."
    )


def words(costs: pd.DataFrame, needs: str) -> str:
    """The measures that need one kind of outputs, with the verb."""
    names = [*costs.loc[costs["needs"] == needs, "measure"]]
    return f"{', '.join(names[:-1])} and {names[-1]} need" if len(names) > 1 else f"{names[0]} needs"


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The rank correlations with SAT, and the costs."""
    if len(with_sat := to_sat(tables["measure_relations"])):
        formats = {"measure": ""} | dict.fromkeys(["spearman", "low", "high"], ".2f") | {"p": ".2g"}
        yield printing.table("rank correlation with SAT", with_sat, formats)
    formats = {"measure": "", "needs": "", "network_seconds": ",.1f", "seconds": ",.1f"}
    yield printing.table("cost", tables["measure_costs"], formats)
