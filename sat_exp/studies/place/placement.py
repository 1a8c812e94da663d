"""Where one model lies among others: its nearest, whom it fools and who fools it, its cluster."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.errors import UserError, nearest
from sat_exp.statistics.clustering import spectral


@dataclass(frozen=True)
class Placement:
    """nearest: every other model by SAT, the most similar first: model, sat, sat_low, sat_high, fools = the share
    of the placed model's adversarial images that fool it, fooled_by = the share of its that fool the placed model; the
    last four are NaN without a table of pairs.

    rates: role (source: the placed model's adversarial images fool others; target: theirs fool it), mean_rate over the
    others, rank of that among all models' (1: the highest rate), models = how many are ranked, most and least = the
    others with the highest and the lowest rate, most_rate, least_rate; no rows without a table of pairs.

    clusters: of the others, as they are without the placed model: cluster, mean_sat with it (the highest first),
    models = how many, members. `cluster` is the first of them and `margin` how far its mean SAT is above the second's
    (NaN where there is one cluster): how clear the choice is.

    typicality: mean_sat with the others, rank of that among all models' (1: the most similar to others), models.
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
    """Places `model`. `scores`: a table of pairs (see `similarity.score`), or a symmetric matrix of SAT [M, M].

    The others are clustered first, so that placing a model does not change their clusters; it then belongs to the
    cluster with the highest mean SAT to it. Pairs of the placed model that are missing are left out of all means.
    UserError for an unknown name, fewer than two others, a model without a measured pair, a missing pair of two others,
    or a number of clusters outside 1 to the number of the others.
    """
    paired = "model_a" in scores.columns
    sat = similarity.matrix(scores) if paired else scores
    if model not in sat.index:
        near = nearest(model, sat.index)
        raise UserError(f"no scores of {model!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    others = sat.index.drop(model)
    own = sat.loc[model, others].dropna()
    if len(others) < 2 or own.empty:
        raise UserError(f"{model} has SAT with {len(own)} of {len(others)} others: measure it with at least two")

    found = spectral(sat.loc[others, others], clusters, seed=seed)
    groups = _clusters(own, found)
    between = sat.mask(np.eye(len(sat), dtype=bool)).mean(axis=1)
    directed = _directed(scores) if paired else pd.DataFrame(columns=["source", "target", "rate"])
    return Placement(
        model=model,
        nearest=_nearest(model, own, scores if paired else None),
        rates=_rates(model, directed),
        clusters=groups,
        cluster=int(groups["cluster"].iloc[0]),
        margin=float(groups["mean_sat"].iloc[0] - groups["mean_sat"].iloc[1]) if len(groups) > 1 else np.nan,
        mean_sat=float(between[model]),
        rank=_rank(between, model),
        models=int(between.notna().sum()),
    )


def _clusters(own: pd.Series, found: pd.Series) -> pd.DataFrame:
    """The clusters of the others by their mean SAT with the placed model; one without a measured pair comes last."""
    groups = found.groupby(found)
    table = pd.DataFrame(
        {
            "mean_sat": own.groupby(found).mean(),
            "models": groups.size(),
            "members": groups.apply(lambda members: ", ".join(map(str, members.index))),
        }
    )
    return table.rename_axis("cluster").sort_values("mean_sat", ascending=False, kind="stable").reset_index()


def _directed(pairs: pd.DataFrame) -> pd.DataFrame:
    """source, target, rate: both directions of every measured pair of two models."""
    ways = [
        pairs[[source, target, rate]].set_axis(["source", "target", "rate"], axis=1)
        for source, target, rate in (
            ("model_a", "model_b", "transfer_rate_ab"),
            ("model_b", "model_a", "transfer_rate_ba"),
        )
    ]
    both = pd.concat(ways, ignore_index=True)
    return both[both["source"] != both["target"]].dropna(subset="rate")


def _nearest(model: str, own: pd.Series, pairs: pd.DataFrame | None) -> pd.DataFrame:
    table = own.rename("sat").rename_axis("model").reset_index()
    columns = ["model", "sat", "sat_low", "sat_high", "fools", "fooled_by"]
    if pairs is None:
        return table.sort_values("sat", ascending=False, kind="stable", ignore_index=True).reindex(columns=columns)
    ways = []
    for this, other, fools, fooled_by in (("a", "b", "ab", "ba"), ("b", "a", "ba", "ab")):
        of = pairs[(pairs[f"model_{this}"] == model) & (pairs[f"model_{other}"] != model)]
        names = [f"model_{other}", "sat", "sat_low", "sat_high", f"transfer_rate_{fools}", f"transfer_rate_{fooled_by}"]
        ways.append(of[names].set_axis(columns, axis=1))
    both = pd.concat(ways).dropna(subset="sat")
    return both.sort_values("sat", ascending=False, kind="stable", ignore_index=True)


def _rates(model: str, directed: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for role, other in (("source", "target"), ("target", "source")):
        own = directed[directed[role] == model].set_index(other)["rate"]
        if own.empty:
            continue
        means = directed.groupby(role)["rate"].mean()
        most, least = str(own.idxmax()), str(own.idxmin())
        rows.append(
            (role, means[model], _rank(means, model), len(means), most, own.max(), least, own.min()),
        )
    columns = ["role", "mean_rate", "rank", "models", "most", "most_rate", "least", "least_rate"]
    return pd.DataFrame(rows, columns=columns)


def _rank(values: pd.Series, model: str) -> int:
    """1 for the highest; of equals, all have the best rank."""
    return int((values > values[model]).sum()) + 1
