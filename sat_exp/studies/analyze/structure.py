"""What lies behind single pairs: neighbours, models that are near to all others, and which way transfer is easier.

A pair's SAT is in part due to its models (one may be near to everything) and in part the pair's own. `without_hubs` and
`directed` take the two apart by least squares.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import permutation_test, rankdata, skew

from sat_exp.errors import UserError

Array = NDArray[np.float64]

NEIGHBOURS = 5

DIRECTIONS = (("a", "b"), ("b", "a"))


@dataclass(frozen=True)
class Hubness:
    """models: model, mean_sat with the others, rank of that (1: the most similar to others), occurrences, how many
    others have it among their k nearest, and nearest_to, those of which it is the very nearest; by mean_sat.

    skewness: of occurrences, above 0 where a few models are near to many (Radovanović, Nanopoulos & Ivanović, JMLR 11,
    2010); expected: that of a binomial of M − 1 and k/(M − 1), as if neighbours were drawn by lot. NaN where every
    model occurs equally often. correlation: of occurrences with mean_sat, Spearman's.
    """

    models: pd.DataFrame
    neighbours: int
    skewness: float
    expected: float
    correlation: float


@dataclass(frozen=True)
class WithoutHubs:
    """The least-squares fit SAT_ij = mean + effect_i + effect_j over the measured pairs of two models, Σ effect = 0.

    sat: what it leaves, float64 [M, M], NaN on the diagonal and where unmeasured: SAT beyond what the two models have
    with everyone. effects: model, effect, the highest first. pairs: model_a, model_b, sat, expected, residual, the
    largest residual first. explained: the share of the variance of SAT that is due to the models (NaN without any).
    """

    mean: float
    effects: pd.DataFrame
    sat: pd.DataFrame
    pairs: pd.DataFrame
    explained: float

    @property
    def affinity(self) -> pd.DataFrame:
        """`sat` with a diagonal of 0, for spectral clustering (Ng, Jordan & Weiss have it 0): there, a pair less
        similar than expected is no tie.

        On the published matrix it has eigengaps, unlike SAT itself: a wide one after five clusters, one after ten.
        """
        return self.sat.mask(np.eye(len(self.sat), dtype=bool), 0.0)


@dataclass(frozen=True)
class Directed:
    """The least-squares fit rate_ij = mean + source_i + target_j over measured directions, Σ source = Σ target = 0.

    models: model; fools, its mean transfer rate to others, fooled, theirs to it, and the ranks of both (1: highest),
    fools_rank, fooled_rank; source and target, its effects: by how much its adversarial images fool others more, and it
    is fooled more, than the average model's; by source. accuracy, where it was given.

    asymmetric: pairs measured both ways by |difference|, the largest first: model_a (the one that fools the other
    more), model_b, rate_ab, rate_ba, difference of the two with low and high, expected by the effects, and residual =
    difference − expected. The interval is Newcombe's (Statistics in Medicine 17, 1998, method 10) from the Wilson
    intervals of the rates; it takes the directions for independent, where both are of the same images, which makes it
    the wider the more often the same images are fooled.

    correlations: between, and, value (Spearman's), low, high (bootstrap of models, 95 %), p (exchanging models;
    exact where `resamples` orders are all there are), models. Of source with target, and of each with accuracy.

    explained_source, explained_target: how much smaller the sum of squares is for having these effects beside the
    others, over the total; explained: by both. reciprocity: the correlation of both directions of a pair once the
    effects are taken off, NaN where nothing is left.
    """

    mean: float
    models: pd.DataFrame
    asymmetric: pd.DataFrame
    correlations: pd.DataFrame
    explained_source: float
    explained_target: float
    explained: float
    reciprocity: float


def nearest(sat: pd.DataFrame, neighbours: int | None = None) -> pd.DataFrame:
    """model, rank from 1, neighbour, sat: the others most similar to each model, of a symmetric matrix [M, M].

    neighbours: by default 5, or all others where they are fewer. Models in the matrix's order; of equals the first in
    it. Unmeasured pairs are no neighbours.
    """
    neighbours = _neighbours(neighbours, len(sat), len(sat) - 1)
    between = _between(sat)
    order = np.argsort(-np.nan_to_num(between, nan=-np.inf), axis=1, kind="stable")[:, :neighbours]
    table = pd.DataFrame(
        {
            "model": np.repeat(sat.index, neighbours),
            "rank": np.tile(np.arange(1, neighbours + 1), len(sat)),
            "neighbour": sat.index.to_numpy()[order.ravel()],
            "sat": np.take_along_axis(between, order, axis=1).ravel(),
        }
    )
    return table.dropna(subset="sat", ignore_index=True)


def hubness(sat: pd.DataFrame, neighbours: int | None = None) -> Hubness:
    """Which models are near to many, from a symmetric matrix [M, M] and its `nearest`.

    neighbours: by default 5, or half of the others where that is fewer: with all, every model is as near as the next.
    """
    neighbours = _neighbours(neighbours, len(sat), (len(sat) - 1) // 2)
    near = nearest(sat, neighbours)
    means = pd.DataFrame(_between(sat), index=sat.index).mean(axis=1)
    occurrences = near["neighbour"].value_counts().reindex(sat.index, fill_value=0)
    first = near.loc[near["rank"] == 1, "neighbour"].value_counts().reindex(sat.index, fill_value=0)
    table = pd.DataFrame(
        {
            "model": sat.index,
            "mean_sat": means.to_numpy(),
            "rank": _ranks(means),
            "occurrences": occurrences.to_numpy(),
            "nearest_to": first.to_numpy(),
        }
    ).sort_values("mean_sat", ascending=False, kind="stable", ignore_index=True)
    varied = occurrences.nunique() > 1
    share = neighbours / (len(sat) - 1)
    spread = np.sqrt((len(sat) - 1) * share * (1 - share))
    return Hubness(
        models=table,
        neighbours=neighbours,
        skewness=float(skew(occurrences)) if varied else np.nan,
        expected=float((1 - 2 * share) / spread) if spread else np.nan,
        correlation=_spearman(table["occurrences"].to_numpy(), table["mean_sat"].to_numpy()),
    )


def without_hubs(sat: pd.DataFrame) -> WithoutHubs:
    """SAT less what each of the two models has with everyone, of a symmetric matrix [M, M].

    Where every pair is measured, with μ the mean of pairs and m_i the mean of model i's: effect_i = (m_i − μ)(M − 1)/(M
    − 2), and what is left is SAT double-centred off the diagonal. UserError where the measured pairs do not
    determine the effects, as for fewer than three models.
    """
    between = _between(sat)
    rows, columns = np.nonzero(np.triu(np.isfinite(between), 1))
    values = between[rows, columns]
    halves = _solve(_indicator(rows, len(sat)) + _indicator(columns, len(sat)), values, list(sat.index))
    mean = 2 * halves.mean()
    effects = halves - halves.mean()
    expected = mean + effects[rows] + effects[columns]
    names = sat.index.to_numpy()
    pairs = pd.DataFrame(
        {
            "model_a": names[rows],
            "model_b": names[columns],
            "sat": values,
            "expected": expected,
            "residual": values - expected,
        }
    ).sort_values("residual", ascending=False, kind="stable", ignore_index=True)
    left = between - mean - effects[:, None] - effects[None, :]
    by_model = pd.DataFrame({"model": names, "effect": effects})
    return WithoutHubs(
        mean=float(mean),
        effects=by_model.sort_values("effect", ascending=False, kind="stable", ignore_index=True),
        sat=pd.DataFrame(left, index=sat.index, columns=sat.columns),
        pairs=pairs,
        explained=_explained(values, values - expected),
    )


def directed(
    pairs: pd.DataFrame, accuracy: Mapping[str, float] | None = None, *, resamples: int = 2000, seed: int = 0
) -> Directed:
    """Good sources and easy targets, from a table of pairs (see `similarity.score`).

    accuracy: of the models it is known for, in [0, 1]. UserError where the measured directions do not determine the
    effects: fewer than three models, or models measured only as source or only as target.
    """
    models = list(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    between = pairs[pairs["model_a"] != pairs["model_b"]]
    ways = pd.concat(
        [
            between[[f"model_{a}", f"model_{b}", f"transfer_rate_{a}{b}"]].set_axis(["i", "j", "rate"], axis=1)
            for a, b in DIRECTIONS
        ]
    ).dropna(subset="rate")
    place = {model: position for position, model in enumerate(models)}
    i, j, rates = ways["i"].map(place).to_numpy(), ways["j"].map(place).to_numpy(), ways["rate"].to_numpy(np.float64)
    ones, source, target = np.ones((len(ways), 1)), _contrasts(i, len(models)), _contrasts(j, len(models))
    found = _solve(np.hstack([ones, source, target]), rates, models)
    sources, targets = (np.append(part, -part.sum()) for part in (found[1 : len(models)], found[len(models) :]))
    left = rates - found[0] - sources[i] - targets[j]
    total = ((rates - rates.mean()) ** 2).sum()

    def lost(design: Array) -> float:
        """The share of the total that is unexplained by `design` but explained by all effects."""
        without = rates - design @ np.linalg.lstsq(design, rates, rcond=None)[0]
        return float(((without**2).sum() - (left**2).sum()) / total) if total > 0 else np.nan

    residuals = pd.Series(left, index=pd.MultiIndex.from_arrays([ways["i"], ways["j"]]))
    back = residuals.reindex(residuals.index.swaplevel()).to_numpy()
    twice = np.isfinite(back)
    table = pd.DataFrame({"model": models})
    for name, by in (("fools", "i"), ("fooled", "j")):
        mean = ways.groupby(by)["rate"].mean().reindex(models)
        table[name], table[f"{name}_rank"] = mean.to_numpy(), _ranks(mean)
    table["source"], table["target"] = sources, targets
    if accuracy is not None:
        table["accuracy"] = table["model"].map(accuracy)
    return Directed(
        mean=float(found[0]),
        models=table.sort_values("source", ascending=False, kind="stable", ignore_index=True),
        asymmetric=_asymmetric(between, dict(zip(models, sources - targets, strict=True))),
        correlations=_correlations(table, resamples, seed),
        explained_source=lost(np.hstack([ones, target])),
        explained_target=lost(np.hstack([ones, source])),
        explained=_explained(rates, left),
        reciprocity=_pearson(left[twice], back[twice]),
    )


def _neighbours(wanted: int | None, models: int, usual: int) -> int:
    if models < 2:
        raise UserError(f"{models} model has no neighbours: give at least two")
    neighbours = max(1, min(NEIGHBOURS, usual)) if wanted is None else wanted
    if not 1 <= neighbours < models:
        raise UserError(f"{neighbours} neighbours of each of {models} models: choose 1 to {models - 1}")
    return neighbours


def _between(sat: pd.DataFrame) -> Array:
    """The entries, NaN on the diagonal."""
    if list(sat.index) != list(sat.columns):
        raise ValueError("rows and columns of a matrix are the same models in the same order")
    values = sat.to_numpy(dtype=np.float64, copy=True)
    if not np.allclose(values, values.T, atol=1e-6, equal_nan=True):
        raise UserError("the matrix of similarities is not symmetric: give SAT, not directed rates")
    np.fill_diagonal(values, np.nan)
    return values


def _indicator(positions: NDArray[np.integer], models: int) -> Array:
    """1 where the column is the row's model, [P, M]."""
    return (positions[:, None] == np.arange(models)).astype(np.float64)


def _contrasts(positions: NDArray[np.integer], models: int) -> Array:
    """Effects that sum to 0, without the last model's, [P, M − 1]."""
    every = _indicator(positions, models)
    return every[:, :-1] - every[:, -1:]


def _solve(design: Array, values: Array, models: list[str]) -> Array:
    """The least-squares coefficients; UserError where they are not determined."""
    if design.size and np.linalg.matrix_rank(design) == design.shape[1]:
        return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
    raise UserError(
        f"{len(values)} measured pairs or directions of {len(models)} models do not tell the models' shares from the "
        "pairs': measure every pair of at least three models, both ways"
    )


def _asymmetric(pairs: pd.DataFrame, lean: Mapping[str, float]) -> pd.DataFrame:
    """Directed.asymmetric; lean: source − target effect of every model."""
    columns = ["model_a", "model_b", "rate_ab", "rate_ba", "difference", "low", "high", "expected", "residual"]
    rows = []
    for pair in pairs.dropna(subset=["transfer_rate_ab", "transfer_rate_ba"]).to_dict("records"):
        a, b = DIRECTIONS[pair["transfer_rate_ba"] > pair["transfer_rate_ab"]]
        (p, p_low, p_high), (q, q_low, q_high) = (
            [pair[f"transfer_rate_{way}{end}"] for end in ("", "_low", "_high")] for way in (a + b, b + a)
        )
        difference = p - q
        low = difference - np.hypot(p - p_low, q_high - q)
        high = difference + np.hypot(p_high - p, q - q_low)
        first, second = pair[f"model_{a}"], pair[f"model_{b}"]
        expected = lean[first] - lean[second]
        rows.append((first, second, p, q, difference, low, high, expected, difference - expected))
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def _correlations(table: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    rows = []
    for between, other in (("source", "target"), ("source", "accuracy"), ("target", "accuracy")):
        if other in table:
            known = table[[between, other]].dropna().to_numpy(np.float64)
            rows.append((between, other, *_tested(known[:, 0], known[:, 1], resamples, seed), len(known)))
    return pd.DataFrame(rows, columns=["between", "and", "value", "low", "high", "p", "models"])


def _tested(x: Array, y: Array, resamples: int, seed: int) -> tuple[float, float, float, float]:
    """Spearman's correlation, its percentile interval, and its two-sided p; NaN where there is no correlation."""
    value = _spearman(x, y)
    if np.isnan(value):
        return (np.nan,) * 4
    rng = np.random.default_rng(seed)
    drawn = [_spearman(x[rows], y[rows]) for rows in rng.integers(0, len(x), (resamples, len(x)))]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    exchanged = permutation_test(
        (x,), lambda x: _spearman(x, y), permutation_type="pairings", vectorized=False, n_resamples=resamples, rng=rng
    )
    return value, float(low), float(high), float(exchanged.pvalue)


def _ranks(values: pd.Series) -> NDArray[np.int64]:
    """1 for the highest; of equals, all have the best rank."""
    return values.rank(ascending=False, method="min").fillna(0).astype(np.int64).to_numpy()


def _explained(values: Array, left: Array) -> float:
    """1 − residual over total sum of squares, NaN where the values are all alike."""
    return float(1 - (left**2).sum() / ((values - values.mean()) ** 2).sum()) if np.ptp(values) else np.nan


def _pearson(x: Array, y: Array) -> float:
    if len(x) < 3 or min(np.ptp(x), np.ptp(y)) < 1e-12:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def _spearman(x: Array, y: Array) -> float:
    return _pearson(rankdata(x), rankdata(y))
