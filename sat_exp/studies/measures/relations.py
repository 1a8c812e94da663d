"""Measures of the same pairs in one table, SAT without hubs, and rank correlations among measures."""

import time
from itertools import combinations

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.measurement import Scoring
from sat_exp.progress import progress
from sat_exp.similarity import Predictions, draws
from sat_exp.statistics import hubs
from sat_exp.statistics.relations import relation
from sat_exp.statistics.resampling import percentile_interval

WITHOUT_HUBS = "sat_without_hubs"


def of_pairs(measures: pd.DataFrame) -> pd.DataFrame:
    """The table `measures_of_pairs`: a row for each unordered pair, with the columns NAME, NAME_low and NAME_high of
    each symmetric measure, from the table `measures`. A measure with values in both orders of a pair is left out."""
    several = measures.groupby("measure", sort=False).filter(lambda rows: not both_orders(rows))
    wide = several.pivot(index=["model_a", "model_b"], columns="measure", values=["value", "low", "high"])
    names = several["measure"].unique()
    columns = {
        (end, name): name if end == "value" else f"{name}_{end}" for name in names for end in ("value", "low", "high")
    }
    ordered = wide[list(columns)].set_axis(list(columns.values()), axis=1)
    pairs = several[["model_a", "model_b"]].drop_duplicates()
    return pairs.merge(ordered.reset_index(), on=["model_a", "model_b"])


def both_orders(rows: pd.DataFrame) -> bool:
    """Whether the rows of a measure have a pair in both orders."""
    ways = set(zip(rows["model_a"], rows["model_b"], strict=True))
    return any((b, a) in ways for a, b in ways)


def names_of(pairs: pd.DataFrame) -> list[str]:
    """The measures in the table `measures_of_pairs`."""
    return [name for name in pairs.columns if f"{name}_low" in pairs.columns]


def without_hubs(
    tables: dict[str, pd.DataFrame], predictions: Predictions, scoring: Scoring, resamples: int
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Rows of SAT minus the effects of both models for the tables `measures` and `measure_costs`; none, with a caution,
    where a pair has no SAT. The interval is that of draws of images; each draw fits the effects again."""
    started, sat = time.perf_counter(), similarity.matrix(tables["pairs"])
    resampled = draws.resampled(predictions, compare=scoring.compare, floor=scoring.floor, resamples=resamples)
    try:
        whole = hubs.without_hubs(sat)
        drawn = [hubs.without_hubs(each).sat for each in resampled]
    except UserError as error:
        return {}, [f"SAT without hubs is missing: {error}"]
    rows = whole.pairs.set_index(["model_a", "model_b"])["residual"]
    places = [(sat.index.get_loc(a), sat.columns.get_loc(b)) for a, b in rows.index]
    samples = np.array([[each.to_numpy()[place] for place in places] for each in drawn])
    low, high = percentile_interval(samples, scoring.confidence)
    found = rows.rename("value").reset_index().assign(low=np.minimum(low, rows.to_numpy()))
    found = found.assign(high=np.maximum(high, rows.to_numpy()))
    found.insert(2, "measure", WITHOUT_HUBS)
    costs = tables["measure_costs"]
    network = costs.loc[costs["needs"] == "transfers", "network_seconds"]
    cost = {
        "measure": WITHOUT_HUBS,
        "title": "SAT minus the effects of both models",
        "needs": "transfers",
        "pairs": len(rows),
        "network_seconds": network.iloc[0] if len(network) else np.nan,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return {"measures": found, "measure_costs": pd.DataFrame([cost])}, []


def relations(pairs: pd.DataFrame, resamples: int, permutations: int, seed: int) -> pd.DataFrame:
    """The table `measure_relations`: the rank correlation of any two measures over the pairs of `measures_of_pairs`.
    The interval is from draws of models and p from permutations of models, as pairs with a common model are not
    independent (see `statistics.relations`)."""
    names, rows = names_of(pairs), []
    columns = ["measure_a", "measure_b", "models", "pairs", "spearman", "low", "high", "p"]
    with progress("relations", len(names) * (len(names) - 1) // 2) as bar:
        for first, second in combinations(names, 2):
            chosen = pairs[["model_a", "model_b", first, second]].set_axis(
                ["model_a", "model_b", "sat", second], axis=1
            )
            drawing = {"resamples": resamples, "permutations": permutations, "seed": seed}
            found = relation(chosen, [second], [], **drawing, advance=bar)
            rows.append(found.assign(measure_a=first, measure_b=second))
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)
