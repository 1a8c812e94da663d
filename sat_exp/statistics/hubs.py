"""Hubs: models that are similar to all others; and similarity without the models' own effects.

The SAT of a pair is in part due to its two models and in part the pair's own. `without_hubs` separates the two by least
squares.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import skew

from sat_exp.errors import UserError
from sat_exp.statistics import effects, neighbours
from sat_exp.statistics.relations import spearman

Array = NDArray[np.float64]

NEIGHBOURS = 5


@dataclass(frozen=True)
class Hubness:
    """models, one row per model, by mean_sat: model; mean_sat with the others; rank of mean_sat (1: the most similar to
    others); occurrences, how many others have it among their k nearest; nearest_to, how many have it as the nearest.

    skewness: of occurrences, positive where a few models are near to many (Radovanović, Nanopoulos & Ivanović, JMLR 11,
    2010). expected: the skewness of a binomial of M − 1 and k/(M − 1), that of random neighbours. NaN where every model
    occurs equally often. correlation: Spearman's, of occurrences with mean_sat.
    """

    models: pd.DataFrame
    neighbours: int
    skewness: float
    expected: float
    correlation: float


@dataclass(frozen=True)
class WithoutHubs:
    """The least-squares fit SAT_ij = mean + effect_i + effect_j over the measured pairs of two models, Σ effect = 0.

    effects: model, effect, the highest first. sat: the residuals, float64 [M, M], NaN on the diagonal and where not
    measured. pairs: model_a, model_b, sat, expected, residual, the largest residual first. explained: the share of the
    variance of SAT that is due to the models, NaN without variance.
    """

    mean: float
    effects: pd.DataFrame
    sat: pd.DataFrame
    pairs: pd.DataFrame
    explained: float

    @property
    def affinity(self) -> pd.DataFrame:
        """`sat` with a diagonal of 0 for spectral clustering, as in Ng, Jordan & Weiss; a pair less similar than
        expected is no tie.

        On the published matrix it has eigengaps, unlike SAT itself: a wide one after five clusters, one after ten.
        """
        return self.sat.mask(np.eye(len(self.sat), dtype=bool), 0.0)


def nearest(sat: pd.DataFrame, neighbours: int | None = None) -> pd.DataFrame:
    """The models most similar to each model, from a symmetric matrix [M, M]: model, rank from 1, neighbour, sat.

    neighbours: how many; by default 5, or all others where they are fewer. Models are in the matrix's order. Pairs that
    were not measured are left out.
    """
    return _nearest(sat, _number(neighbours, len(sat), len(sat) - 1))


def hubness(sat: pd.DataFrame, neighbours: int | None = None) -> Hubness:
    """How often each model is among the `nearest` of others, from a symmetric matrix [M, M].

    neighbours: by default 5, or half of the others where that is fewer. With all others, every model occurs equally
    often.
    """
    k = _number(neighbours, len(sat), (len(sat) - 1) // 2)
    near = _nearest(sat, k)
    means = pd.DataFrame(_between(sat), index=sat.index).mean(axis=1)
    occurrences = near["neighbour"].value_counts().reindex(sat.index, fill_value=0)
    first = near.loc[near["rank"] == 1, "neighbour"].value_counts().reindex(sat.index, fill_value=0)
    columns = {"mean_sat": means, "rank": ranks(means), "occurrences": occurrences, "nearest_to": first}
    table = pd.DataFrame(columns, index=sat.index).rename_axis("model").reset_index()
    table = table.sort_values("mean_sat", ascending=False, kind="stable", ignore_index=True)
    share = k / (len(sat) - 1)
    spread = np.sqrt((len(sat) - 1) * share * (1 - share))
    return Hubness(
        models=table,
        neighbours=k,
        skewness=float(skew(occurrences)) if occurrences.nunique() > 1 else np.nan,
        expected=float((1 - 2 * share) / spread) if spread else np.nan,
        correlation=spearman(table["occurrences"].to_numpy(), table["mean_sat"].to_numpy()),
    )


def without_hubs(sat: pd.DataFrame) -> WithoutHubs:
    """SAT minus the effects of both models, from a symmetric matrix [M, M].

    Where every pair is measured, with μ the mean of all pairs and m_i the mean of model i's pairs, effect_i =
    (m_i − μ)(M − 1)/(M − 2), and the residuals are SAT double-centred off the diagonal. UserError where the measured
    pairs do not determine the effects, as for fewer than three models.
    """
    between = _between(sat)
    rows, columns = np.nonzero(np.triu(np.isfinite(between), 1))
    values = between[rows, columns]
    design = effects.indicators(rows, len(sat)) + effects.indicators(columns, len(sat))
    halves = effects.solve(design, values, len(sat))
    mean = 2 * halves.mean()
    own = halves - halves.mean()
    expected = mean + own[rows] + own[columns]
    names = sat.index.to_numpy()
    pairs = pd.DataFrame({"model_a": names[rows], "model_b": names[columns], "sat": values, "expected": expected})
    pairs["residual"] = values - expected
    by_model = pd.DataFrame({"model": names, "effect": own})
    residuals = between - mean - own[:, None] - own[None, :]
    return WithoutHubs(
        mean=float(mean),
        effects=by_model.sort_values("effect", ascending=False, kind="stable", ignore_index=True),
        sat=pd.DataFrame(residuals, index=sat.index, columns=sat.columns),
        pairs=pairs.sort_values("residual", ascending=False, kind="stable", ignore_index=True),
        explained=effects.explained(values, values - expected),
    )


def ranks(values: pd.Series) -> pd.Series:
    """Ranks, int64, 1 for the highest; equal values all have the best rank, NaN has 0."""
    return values.rank(ascending=False, method="min").fillna(0).astype(np.int64)


def _nearest(sat: pd.DataFrame, k: int) -> pd.DataFrame:
    between = _between(sat)
    order = neighbours.nearest(between, k)
    names = sat.index.to_numpy()
    table = pd.DataFrame({"model": np.repeat(sat.index, k), "rank": np.tile(np.arange(1, k + 1), len(sat))})
    table["neighbour"] = names[order.ravel()]
    table["sat"] = np.take_along_axis(between, order, axis=1).ravel()
    return table[order.ravel() >= 0].reset_index(drop=True)


def _number(wanted: int | None, models: int, usual: int) -> int:
    """How many neighbours: those wanted, else the smaller of 5 and `usual`."""
    if models < 2:
        raise UserError(f"{models} model has no neighbours: give at least two")
    number = max(1, min(NEIGHBOURS, usual)) if wanted is None else wanted
    if not 1 <= number < models:
        raise UserError(f"{number} neighbours of each of {models} models: choose 1 to {models - 1}")
    return number


def _between(sat: pd.DataFrame) -> Array:
    """The entries, NaN on the diagonal."""
    if list(sat.index) != list(sat.columns):
        raise ValueError("rows and columns of a matrix are the same models in the same order")
    values = neighbours.without_diagonal(sat.to_numpy())
    if not np.allclose(values, values.T, atol=1e-6, equal_nan=True):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    return values
