"""The place of one model among others: its nearest models, its transfer rates, its cluster."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.errors import UserError, nearest
from sat_exp.similarity.directions import DIRECTIONS, transfer_rates
from sat_exp.statistics.clustering import spectral

NEAREST = ["model", "sat", "sat_low", "sat_high", "fools", "fooled_by"]
RATES = ["role", "mean_rate", "rank", "models", "most", "most_rate", "least", "least_rate"]


@dataclass(frozen=True)
class Placement:
    """nearest, one row per other model, the most similar first: model, sat, sat_low, sat_high; fools, the share of the
    placed model's adversarial images that fool it; fooled_by, the share of its images that fool the placed model. The
    last four are NaN without a table of pairs.

    rates, one row per role (source: the placed model's images fool others; target: theirs fool it), none without a
    table of pairs: role; mean_rate over the others; rank of that among all models' (1: the highest); models, how many
    are ranked; most and least, the others with the highest and the lowest rate; most_rate, least_rate.

    clusters of the others, by mean_sat: cluster, mean_sat with the placed model, models = how many, members. cluster:
    the first of them. margin: its mean SAT minus the second's, NaN where there is one cluster.

    mean_sat: with the others; rank of that among all models' (1: the most similar to others); models: how many.
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


def place(model: str, scores: pd.DataFrame, clusters: int, *, seed: int = 0) -> Placement:
    """The placement of `model`. `scores`: a table of pairs (see `similarity.score`), or a matrix of SAT [M, M].

    The others are clustered without the placed model, which then belongs to the cluster with the highest mean SAT to
    it. Missing pairs of the placed model are left out of all means. UserError for an unknown name, fewer than two
    others, a model without a measured pair, a missing pair of two others, or a number of clusters outside 1 to the
    number of the others.
    """
    paired = "model_a" in scores.columns
    sat = similarity.matrix(scores) if paired else scores
    if model not in sat.index:
        hint = f"; did you mean {' or '.join(names)}?" if (names := nearest(model, sat.index)) else ""
        raise UserError(f"no scores of {model!r}{hint}")
    others = sat.index.drop(model)
    own = sat.loc[model, others].dropna()
    if len(others) < 2 or own.empty:
        raise UserError(f"{model} has SAT with {len(own)} of {len(others)} others: measure it with at least two")

    groups = _clusters(own, spectral(sat.loc[others, others], clusters, seed=seed))
    means = sat.mask(np.eye(len(sat), dtype=bool)).mean(axis=1)
    best = groups["mean_sat"].to_numpy()
    near = _oriented(model, scores) if paired else own.rename("sat").rename_axis("model").reset_index()
    return Placement(
        model=model,
        nearest=near.sort_values("sat", ascending=False, kind="stable", ignore_index=True).reindex(columns=NEAREST),
        rates=_rates(model, transfer_rates(scores)) if paired else pd.DataFrame(columns=RATES),
        clusters=groups,
        cluster=int(groups["cluster"].iloc[0]),
        margin=float(best[0] - best[1]) if len(groups) > 1 else np.nan,
        mean_sat=float(means[model]),
        rank=_rank(means, model),
        models=int(means.notna().sum()),
    )


def _clusters(own: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """Placement.clusters, from SAT with each other model and the cluster of each; those without SAT come last."""
    groups = labels.groupby(labels)
    columns = {
        "mean_sat": own.groupby(labels).mean(),
        "models": groups.size(),
        "members": groups.apply(lambda members: ", ".join(map(str, members.index))),
    }
    table = pd.DataFrame(columns).rename_axis("cluster")
    return table.sort_values("mean_sat", ascending=False, kind="stable").reset_index()


def _oriented(model: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """The measured pairs of `model` with each other model, with the columns of Placement.nearest."""
    ways = []
    for this, other in DIRECTIONS:
        own = pairs[(pairs[f"model_{this}"] == model) & (pairs[f"model_{other}"] != model)]
        rates = f"transfer_rate_{this}{other}", f"transfer_rate_{other}{this}"
        ways.append(own[[f"model_{other}", "sat", "sat_low", "sat_high", *rates]].set_axis(NEAREST, axis=1))
    return pd.concat(ways).dropna(subset="sat")


def _rates(model: str, rates: pd.DataFrame) -> pd.DataFrame:
    """Placement.rates, from the transfer rates of all models."""
    rows = []
    for role, other in (("source", "target"), ("target", "source")):
        own = rates[rates[role] == model].set_index(other)["rate"]
        if not own.empty:
            means = rates.groupby(role)["rate"].mean()
            ends = str(own.idxmax()), own.max(), str(own.idxmin()), own.min()
            rows.append((role, means[model], _rank(means, model), len(means), *ends))
    return pd.DataFrame(rows, columns=RATES)


def _rank(values: pd.Series, model: str) -> int:
    """1 for the highest; equal values all have the best rank."""
    return int((values > values[model]).sum()) + 1
