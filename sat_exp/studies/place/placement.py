"""The place of one model among others: its nearest models, its transfer rates, its cluster, also in words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.table import Table

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.report.headline import value
from sat_exp.similarity.scores import DIRECTIONS, transfer_rates
from sat_exp.statistics.clustering import spectral
from sat_exp.statistics.hubs import ranks
from sat_exp.tasks import printing

NEAREST = ["model", "sat", "sat_low", "sat_high", "fools", "fooled_by"]

FORMATS = {"model": "", "sat": ".2f", "interval": "s", "fools": ".1%", "fooled_by": ".1%"}

MEMBERS = 4
"""The most members of a cluster that a sentence names."""

CLOSE = 0.1
"""The margin of SAT to the next cluster below which the cluster is called uncertain."""


@dataclass(frozen=True)
class Placement:
    """The place of `model`, as the tables `nearest_models`, `rates` and `nearest_clusters`, and as numbers.

    In `nearest`, the placed model's adversarial images fool the other (fools), and the other's fool it (fooled_by). In
    `rates`, its images fool others as a source, and theirs fool it as a target; rank 1 is the highest mean rate.
    cluster: the one with the highest mean SAT; margin: by how much, NaN where it is the only one. mean_sat: with the
    others; rank: of mean_sat among `models` models.
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
    """The placement of `model` in a table of pairs (see `similarity.score`); the others are clustered without it.

    Missing pairs of the placed model are left out of all means. UserError for fewer than two others, no SAT with any of
    them, a missing pair of two others, or a number of clusters outside 1 to the number of the others.
    """
    sat = similarity.matrix(pairs)
    others = sat.index.drop(model)
    own = sat.loc[model, others].dropna()
    if len(others) < 2 or own.empty:
        raise UserError(f"{model} has SAT with {len(own)} of {len(others)} others: measure it with at least two")
    groups = _clusters(own, spectral(sat.loc[others, others], clusters, seed=seed))
    means = sat.mask(np.eye(len(sat), dtype=bool)).mean(axis=1).dropna()
    best = groups["mean_sat"].to_numpy()
    return Placement(
        model=model,
        nearest=_oriented(model, pairs).sort_values("sat", ascending=False, kind="stable", ignore_index=True),
        rates=_rates(model, transfer_rates(pairs)),
        clusters=groups,
        cluster=int(groups["cluster"].iloc[0]),
        margin=float(best[0] - best[1]) if len(groups) > 1 else np.nan,
        mean_sat=float(means[model]),
        rank=int(ranks(means)[model]),
        models=len(means),
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
    """The table `rates`; rates: of all models."""
    rows = []
    for role, other in (("source", "target"), ("target", "source")):
        own = rates[rates[role] == model].set_index(other)["rate"]
        means = rates.groupby(role)["rate"].mean()
        ends = {"most": own.idxmax(), "most_rate": own.max(), "least": own.idxmin(), "least_rate": own.min()}
        rows.append({"role": role, "mean_rate": means[model], "rank": ranks(means)[model], "models": len(means)} | ends)
    return pd.DataFrame(rows)


def sentences(placed: Placement) -> list[str]:
    """The models most and least like the placed one, its transfer to and from others, and its cluster."""
    near, far = placed.nearest.iloc[0], placed.nearest.iloc[-1]
    texts = [
        f"{placed.model} is most like {near['model']} (SAT {value(near, 'sat')}) and least like {far['model']} "
        f"({value(far, 'sat')}); its mean SAT is rank {placed.rank} of {placed.models}."
    ]
    rates = placed.rates.set_index("role")
    if {"source", "target"} <= set(rates.index):
        fools, fooled = rates.loc["source"], rates.loc["target"]
        texts.append(
            f"It fools the others on {fools['mean_rate']:.1%} of the images on average, rank {fools['rank']} of "
            f"{fools['models']}, and they fool it on {fooled['mean_rate']:.1%}, rank {fooled['rank']}."
        )
    cluster = placed.clusters.iloc[0]
    if len(placed.clusters) == 1:
        return texts
    close = ", which is not certain" * (placed.margin < CLOSE)
    members = cluster["members"].split(", ")
    named = ", ".join(members[:MEMBERS]) + f" and {len(members) - MEMBERS} more" * (len(members) > MEMBERS)
    return [
        *texts,
        f"It falls into a cluster with {named}{close}: mean SAT {cluster['mean_sat']:.2f}, {placed.margin:.2f} more "
        f"than with the next of {len(placed.clusters)} clusters.",
    ]


def printed(placed: Placement) -> list[Table]:
    """The nearest models."""
    nearest = placed.nearest.head(5)
    interval = nearest["sat_low"].map("{:.2f}–".format) + nearest["sat_high"].map("{:.2f}".format)
    return [printing.table(f"nearest to {placed.model}", nearest.assign(interval=interval), FORMATS)]
