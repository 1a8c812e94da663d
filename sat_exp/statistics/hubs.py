"""Nearest neighbours; hubs, which are similar to all others; the effects of models on the values of their pairs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import skew

from sat_exp.errors import UserError

Array = NDArray[np.float64]
Positions = NDArray[np.int64]

NEIGHBOURS = 5


@dataclass(frozen=True)
class WithoutHubs:
    """The least-squares fit SAT_ij = mean + effect_i + effect_j over the measured pairs of two models, Σ effect = 0.

    effects: by model. sat: the residuals, [M, M], NaN on the diagonal and where not measured. pairs: the table
    `pairs_without_hubs`. explained: the models' share of the variance of SAT, NaN without variance.
    """

    effects: pd.Series
    sat: pd.DataFrame
    pairs: pd.DataFrame
    explained: float

    @property
    def affinity(self) -> pd.DataFrame:
        """`sat` with a diagonal of 0, as spectral clustering takes it (Ng, Jordan & Weiss)."""
        return self.sat.mask(np.eye(len(self.sat), dtype=bool), 0.0)


def nearest(sat: pd.DataFrame, k: int = NEIGHBOURS) -> pd.DataFrame:
    """The table `nearest`: the k or fewer models most similar to each model, from a symmetric matrix [M, M]."""
    k = min(k, len(sat) - 1)
    between = without_diagonal(sat)
    order = nearest_columns(between, k)
    table = pd.DataFrame({"model": np.repeat(sat.index, k), "rank": np.tile(np.arange(1, k + 1), len(sat))})
    table["neighbour"] = sat.index.to_numpy()[order.ravel()]
    table["sat"] = np.take_along_axis(between, order, axis=1).ravel()
    return table[order.ravel() >= 0].reset_index(drop=True)


def hubness(sat: pd.DataFrame, k: int | None = None) -> tuple[pd.DataFrame, dict[str, float]]:
    """The table `hubs` without effects, and the skewness of its occurrences, from a symmetric matrix [M, M].

    occurrences: how many others have the model among their k nearest, by default 5 or half of the others; nearest_to:
    how many have it as the nearest. The skewness is positive where a few models are near to many (Radovanović,
    Nanopoulos & Ivanović, JMLR 11, 2010). expected: that of random neighbours, a binomial of M − 1 and k/(M − 1). Both
    are NaN where every model occurs equally often.
    """
    others = len(sat) - 1
    k = min(NEIGHBOURS, others // 2) if k is None else k
    near = nearest(sat, k)
    means = pd.DataFrame(without_diagonal(sat), index=sat.index).mean(axis=1)
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

    Where every pair is measured, the residuals are SAT double-centred off the diagonal. UserError where the measured
    pairs do not determine the effects, as for fewer than three models.
    """
    rows, columns, values = known_pairs(sat)
    model = np.eye(len(sat))
    halves = solve(model[rows] + model[columns], values, len(sat))
    mean = 2 * halves.mean()
    own = halves - halves.mean()
    expected = mean + own[rows] + own[columns]
    names = sat.index.to_numpy()
    pairs = pd.DataFrame({"model_a": names[rows], "model_b": names[columns], "sat": values, "expected": expected})
    pairs["residual"] = values - expected
    residuals = without_diagonal(sat) - mean - own[:, None] - own[None, :]
    total = ((values - values.mean()) ** 2).sum()
    return WithoutHubs(
        effects=pd.Series(own, sat.index),
        sat=pd.DataFrame(residuals, index=sat.index, columns=sat.columns),
        pairs=pairs.sort_values("residual", ascending=False, kind="stable", ignore_index=True),
        explained=float(1 - ((values - expected) ** 2).sum() / total) if np.ptp(values) else np.nan,
    )


def known_pairs(sat: pd.DataFrame) -> tuple[Positions, Positions, Array]:
    """The measured pairs of two models of a symmetric matrix [M, M]: positions of both, and values, [P] each."""
    first, second = np.nonzero(np.triu(np.isfinite(sat.to_numpy(np.float64)), 1))
    return first, second, sat.to_numpy(np.float64)[first, second]


def ranks(values: pd.Series) -> pd.Series:
    """Ranks, int64, 1 for the highest; equal values all have the best rank."""
    return values.rank(ascending=False, method="min").astype(np.int64)


def solve(design: Array, values: Array, models: int) -> Array:
    """The least-squares coefficients [F] of values [P] on a design [P, F] of small whole numbers, by the normal
    equations; UserError where they are not determined."""
    products = design.T @ design
    if products.any() and np.linalg.matrix_rank(products, hermitian=True) == len(products):
        return np.asarray(np.linalg.solve(products, design.T @ values), np.float64)
    raise UserError(
        f"{len(values)} measured pairs or directions of {models} models do not determine the models' effects: measure "
        "every pair of at least three models, both ways"
    )


def without_diagonal(similarities: ArrayLike) -> Array:
    """A copy of a square matrix, float64 [M, M], with NaN on the diagonal."""
    values = np.array(similarities, np.float64)
    np.fill_diagonal(values, np.nan)
    return values


def nearest_columns(similarities: Array, k: int) -> Positions:
    """The columns of the k largest entries of each row, the largest first, int64 [M, k].

    Equal entries are in the order of their columns. −1 stands where a row has fewer entries that are not NaN.
    """
    order = np.argsort(-np.nan_to_num(similarities, nan=-np.inf), axis=1, kind="stable")[:, :k]
    return np.where(np.isnan(np.take_along_axis(similarities, order, axis=1)), -1, order)


def are_nearest(similarities: Array, k: int) -> NDArray[np.bool_]:
    """Whether the entry is among the k largest of its row, bool [M, M]; see `nearest_columns`."""
    columns = np.arange(similarities.shape[1])
    return (nearest_columns(similarities, k)[:, :, None] == columns).any(axis=1)
