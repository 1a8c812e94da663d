"""Hubs: models that are similar to all others. The effects of models on the values of their pairs, by least squares."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import skew

from sat_exp.errors import UserError
from sat_exp.statistics import neighbours

Array = NDArray[np.float64]

NEIGHBOURS = 5


@dataclass(frozen=True)
class WithoutHubs:
    """The least-squares fit SAT_ij = mean + effect_i + effect_j over the measured pairs of two models, Σ effect = 0.

    effects: model, effect, the highest first. sat: the residuals, float64 [M, M], NaN on the diagonal and where not
    measured. pairs: the table `pairs_without_hubs`, the largest residual first. explained: the share of the variance of
    SAT that is due to the models, NaN without variance.
    """

    effects: pd.DataFrame
    sat: pd.DataFrame
    pairs: pd.DataFrame
    explained: float

    @property
    def affinity(self) -> pd.DataFrame:
        """`sat` with a diagonal of 0, as spectral clustering takes it (Ng, Jordan & Weiss).

        On the published matrix it has eigengaps, unlike SAT itself: a wide one after five clusters, one after ten.
        """
        return self.sat.mask(np.eye(len(self.sat), dtype=bool), 0.0)


def nearest(sat: pd.DataFrame, k: int = NEIGHBOURS) -> pd.DataFrame:
    """The table `nearest`: the k models most similar to each model, from a symmetric matrix [M, M].

    Models are in the matrix's order. A small matrix has fewer neighbours. Pairs that were not measured are left out.
    """
    k = min(k, len(sat) - 1)
    between = neighbours.without_diagonal(sat)
    order = neighbours.nearest(between, k)
    table = pd.DataFrame({"model": np.repeat(sat.index, k), "rank": np.tile(np.arange(1, k + 1), len(sat))})
    table["neighbour"] = sat.index.to_numpy()[order.ravel()]
    table["sat"] = np.take_along_axis(between, order, axis=1).ravel()
    return table[order.ravel() >= 0].reset_index(drop=True)


def hubness(sat: pd.DataFrame, k: int | None = None) -> tuple[pd.DataFrame, dict[str, float]]:
    """How often each model is among the k `nearest` of others, from a symmetric matrix [M, M].

    k: by default 5, or half of the others where that is fewer. With all others, every model occurs equally often.

    Returns the table `hubs` without effects, by mean_sat, which is the mean SAT with the others. occurrences: how many
    others have the model among their k nearest; nearest_to: how many have it as the nearest.

    Returns also skewness, of the occurrences: positive where a few models are near to many (Radovanović, Nanopoulos &
    Ivanović, JMLR 11, 2010); and expected, the skewness for random neighbours, a binomial of M − 1 and k/(M − 1). NaN
    where every model occurs equally often.
    """
    others = len(sat) - 1
    k = min(NEIGHBOURS, others // 2) if k is None else k
    near = nearest(sat, k)
    means = pd.DataFrame(neighbours.without_diagonal(sat), index=sat.index).mean(axis=1)
    occurrences = near["neighbour"].value_counts().reindex(sat.index, fill_value=0)
    first = near.loc[near["rank"] == 1, "neighbour"].value_counts().reindex(sat.index, fill_value=0)
    columns = {"mean_sat": means, "rank": ranks(means), "occurrences": occurrences, "nearest_to": first}
    table = pd.DataFrame(columns, index=sat.index).rename_axis("model").reset_index()
    share = k / others
    spread = np.sqrt(others * share * (1 - share))
    return table.sort_values("mean_sat", ascending=False, kind="stable", ignore_index=True), {
        "skewness": float(skew(occurrences)) if occurrences.nunique() > 1 else np.nan,
        "expected": float((1 - 2 * share) / spread) if spread else np.nan,
    }


def without_hubs(sat: pd.DataFrame) -> WithoutHubs:
    """SAT minus the effects of both models, from a symmetric matrix [M, M].

    Where every pair is measured, with μ the mean of all pairs and m_i the mean of model i's pairs, effect_i =
    (m_i − μ)(M − 1)/(M − 2), and the residuals are SAT double-centred off the diagonal. UserError where the measured
    pairs do not determine the effects, as for fewer than three models.
    """
    rows, columns, values = known_pairs(sat)
    halves = solve(indicators(rows, len(sat)) + indicators(columns, len(sat)), values, len(sat))
    mean = 2 * halves.mean()
    own = halves - halves.mean()
    expected = mean + own[rows] + own[columns]
    names = sat.index.to_numpy()
    pairs = pd.DataFrame({"model_a": names[rows], "model_b": names[columns], "sat": values, "expected": expected})
    pairs["residual"] = values - expected
    by_model = pd.DataFrame({"model": names, "effect": own})
    residuals = neighbours.without_diagonal(sat) - mean - own[:, None] - own[None, :]
    total = ((values - values.mean()) ** 2).sum()
    return WithoutHubs(
        effects=by_model.sort_values("effect", ascending=False, kind="stable", ignore_index=True),
        sat=pd.DataFrame(residuals, index=sat.index, columns=sat.columns),
        pairs=pairs.sort_values("residual", ascending=False, kind="stable", ignore_index=True),
        explained=float(1 - ((values - expected) ** 2).sum() / total) if np.ptp(values) else np.nan,
    )


def known_pairs(sat: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The measured pairs of two models of a symmetric matrix [M, M]: positions of both, and values, [P] each."""
    first, second = np.nonzero(np.triu(np.isfinite(sat.to_numpy(np.float64)), 1))
    return first, second, sat.to_numpy(np.float64)[first, second]


def ranks(values: pd.Series) -> pd.Series:
    """Ranks, int64, 1 for the highest; equal values all have the best rank."""
    return values.rank(ascending=False, method="min").astype(np.int64)


def indicators(positions: NDArray[np.integer], models: int) -> Array:
    """1 where the column is the row's model, [P, M]."""
    return (positions[:, None] == np.arange(models)).astype(np.float64)


def solve(design: Array, values: Array, models: int) -> Array:
    """The least-squares coefficients [F] of values [P] on a design [P, F]; UserError where they are not determined."""
    if design.size and np.linalg.matrix_rank(design) == design.shape[1]:
        return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
    raise UserError(
        f"{len(values)} measured pairs or directions of {models} models do not determine the models' effects: measure "
        "every pair of at least three models, both ways"
    )
