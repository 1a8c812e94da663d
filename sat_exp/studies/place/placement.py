"""The place of one model among others: its nearest models, its transfer rates, its cluster."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity.directions import DIRECTIONS, transfer_rates
from sat_exp.statistics.clustering import spectral

NEAREST = ["model", "sat", "sat_low", "sat_high", "fools", "fooled_by"]


@dataclass(frozen=True)
class Placement:
    """The place of `model`, as the tables `nearest_models`, `rates` and `nearest_clusters`, and as numbers.

    nearest: the other models, the most similar first. `fools` is the share of the placed model's adversarial images
    that fool the other; `fooled_by`, the share of the other's that fool the placed model. rates: one row per role. As a
    source the placed model's images fool others, as a target theirs fool it; `rank` 1 is the highest mean rate.
    clusters: those of the others, by their mean SAT with the placed model. cluster: the first of them; margin: its mean
    SAT minus the second's, NaN where there is one cluster. mean_sat: with the others; its rank among `models`.
    """

    model: str
    nearest: pd.DataFrame
    rates: pd.DataFrame
    clusters: pd.DataFrame
    cluster: int
    margin: float
    mean_sat: float
    rank: int
    models: int


def place(model: str, pairs: pd.DataFrame, clusters: int, *, seed: int = 0) -> Placement:
    """The placement of `model` in a table of pairs (see `similarity.score`).

    The others are clustered without the placed model, which then belongs to the cluster with the highest mean SAT to
    it. Missing pairs of the placed model are left out of all means. UserError for fewer than two others, no SAT with
    any of them, a missing pair of two others, or a number of clusters outside 1 to the number of the others.
    """
    sat = similarity.matrix(pairs)
    others = sat.index.drop(model)
    own = sat.loc[model, others].dropna()
    if len(others) < 2 or own.empty:
        raise UserError(f"{model} has SAT with {len(own)} of {len(others)} others: measure it with at least two")
    groups = _clusters(own, spectral(sat.loc[others, others], clusters, seed=seed))
    means = sat.mask(np.eye(len(sat), dtype=bool)).mean(axis=1)
    best = groups["mean_sat"].to_numpy()
    return Placement(
        model=model,
        nearest=_oriented(model, pairs).sort_values("sat", ascending=False, kind="stable", ignore_index=True),
        rates=_rates(model, transfer_rates(pairs)),
        clusters=groups,
        cluster=int(groups["cluster"].iloc[0]),
        margin=float(best[0] - best[1]) if len(groups) > 1 else np.nan,
        mean_sat=float(means[model]),
        rank=_rank(means, model),
        models=int(means.notna().sum()),
    )


def _clusters(own: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """The table `nearest_clusters`, from SAT with each other model and the cluster of each; those without SAT last."""
    groups = labels.groupby(labels)
    columns = {
        "mean_sat": own.groupby(labels).mean(),
        "models": groups.size(),
        "members": groups.apply(lambda members: ", ".join(map(str, members.index))),
    }
    table = pd.DataFrame(columns).rename_axis("cluster")
    return table.sort_values("mean_sat", ascending=False, kind="stable").reset_index()


def _oriented(model: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """The table `nearest_models`, unsorted."""
    ways = []
    for this, other in DIRECTIONS:
        own = pairs[(pairs[f"model_{this}"] == model) & (pairs[f"model_{other}"] != model)]
        rates = f"transfer_rate_{this}{other}", f"transfer_rate_{other}{this}"
        ways.append(own[[f"model_{other}", "sat", "sat_low", "sat_high", *rates]].set_axis(NEAREST, axis=1))
    return pd.concat(ways).dropna(subset="sat")


def _rates(model: str, rates: pd.DataFrame) -> pd.DataFrame:
    """The table `rates`, from the transfer rates of all models."""
    rows = []
    for role, other in (("source", "target"), ("target", "source")):
        own = rates[rates[role] == model].set_index(other)["rate"]
        means = rates.groupby(role)["rate"].mean()
        ends = {"most": own.idxmax(), "most_rate": own.max(), "least": own.idxmin(), "least_rate": own.min()}
        rows.append({"role": role, "mean_rate": means[model], "rank": _rank(means, model), "models": len(means)} | ends)
    return pd.DataFrame(rows)


def _rank(values: pd.Series, model: str) -> int:
    """1 for the highest; equal values all have the best rank."""
    return int((values > values[model]).sum()) + 1
