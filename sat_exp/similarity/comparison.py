"""The comparison of two SAT matrices over their common models: measures of agreement, and every pair."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.errors import UserError
from sat_exp.similarity.matrices import Matrix
from sat_exp.similarity.scores import between_models
from sat_exp.statistics.hubs import NEIGHBOURS, are_nearest
from sat_exp.statistics.relations import pearson, spearman
from sat_exp.statistics.resampling import percentile_interval, permutation_p

Array = NDArray[np.float64]
Order = NDArray[np.int64]

LEAST = 3
"""Models, and pairs, that a comparison needs."""


def compare(
    measured: Matrix, reference: Matrix, *, set_aside: Collection[str] = (), reason: str = "", **resampling: Any
) -> dict[str, pd.DataFrame]:
    """The tables `agreement`, `disagreements` (ten pairs) and `pairs_compared`, over the models of both matrices.

    Agreement is that of the group "all" and, where enough pairs are left, of "without `reason`": without the models
    `set_aside`. resampling: the options of `agreement`. UserError for fewer than three common models or pairs.
    """
    known = set(reference.models)
    common = [model for model in measured.models if model in known]
    if len(common) < LEAST:
        raise UserError(
            f"{len(common)} models in common, where {LEAST} are needed: {measured.name} has {_first(measured.models)}; "
            f"{reference.name} has {_first(reference.models)}"
        )
    measured, reference = measured.subset(common), reference.subset(common)
    pairs = _pairs(measured, reference, set_aside)
    between = between_models(pairs).dropna(subset="difference")
    if len(between) < LEAST:
        raise UserError(
            f"{len(between)} pairs known to both {measured.name} and {reference.name}, where {LEAST} are needed: "
            "measure more pairs"
        )
    groups = {"all": common}
    kept = [model for model in common if model not in set_aside]
    if len(kept) < len(common) and (~between["set_aside"]).sum() >= LEAST:
        groups[f"without {reason}"] = kept
    tables = {
        group: agreement(measured.subset(models), reference.subset(models), **resampling)
        for group, models in groups.items()
    }
    largest = between["difference"].abs().sort_values(ascending=False, kind="stable").index[:10]
    return {
        "agreement": pd.concat(tables, names=["group", None]).reset_index("group").reset_index(drop=True),
        "disagreements": between.loc[largest].reset_index(drop=True),
        "pairs_compared": pairs,
    }


def agreement(
    measured: Matrix, reference: Matrix, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The rows of the table `agreement` for two matrices of the same models in the same order, over their common pairs.

    - pearson_ceiling: the correlation of two measurements of one truth with these standard errors, the root of the
      product of both reliabilities
    - offset: the mean of measured − reference. slope: of the least-squares line of measured on reference, flattened by
      sampling error of the reference
    - mean_absolute_difference, and centred_absolute_difference without the offset; expected: from the standard errors
      alone, the mean over pairs of √(2/π) times the error of a difference
    - same_nearest: how many models have the same nearest neighbour in both. nearest_overlap: the mean share of a
      model's five nearest (all, where it has fewer) that are the same. expected: by chance
    - white_box_measured, white_box_reference: mean white-box success of the models

    Intervals are percentiles of `resamples` draws of models, too wide where differences belong to single pairs. For
    correlations due to models, 95% intervals cover the truth in about 90% of pools of 30. p is from `resamples`
    orders of the reference's models (Mantel, Cancer Research 27, 1967), where a missing pair counts as an average one.
    """
    matrices = [matrix.sat.to_numpy() for matrix in (measured, reference)]
    missing = np.isnan(matrices).any(axis=0) | np.eye(len(matrices[0]), dtype=bool)
    a, b = np.where(missing, np.nan, matrices)
    upper = np.triu_indices(len(a), 1)
    known = np.isfinite(a[upper])
    errors = [matrix.error.to_numpy()[upper][known] for matrix in (measured, reference)]
    noise = float(np.sqrt(2 / np.pi) * np.mean(np.hypot(*errors)))
    expected = dict.fromkeys(["mean_absolute_difference", "centred_absolute_difference"], noise)
    expected |= {"spearman": 0.0, "pearson": 0.0}
    rng = np.random.default_rng(seed)
    observed = _measures(a[upper][known], b[upper][known])
    samples = pd.DataFrame([_measures(*drawn) for drawn in _resampled(a, b, resamples, rng)], columns=list(observed))
    ends = pd.DataFrame(percentile_interval(samples, confidence), columns=samples.columns)
    orders = [rng.permutation(len(a)) for _ in range(resamples - 1)]
    p = {
        "spearman": _permuted_p(_standard(_ranks(a)), _standard(_ranks(b)), orders),
        "pearson": _permuted_p(_standard(a), _standard(b), orders),
    }
    rows: list[tuple[str | float, ...]] = [
        (name, value, *ends[name], expected.get(name, np.nan), p.get(name, np.nan)) for name, value in observed.items()
    ]
    reliability = [_reliability(matrix[upper][known], error) for matrix, error in zip((a, b), errors, strict=True)]
    rows.insert(2, ("pearson_ceiling", float(np.sqrt(np.prod(reliability)))))
    rows += [*_neighbours(a, b, orders), *_white_box(measured, reference)]
    table = pd.DataFrame(rows, columns=["measure", "value", "low", "high", "expected", "p"])
    table.insert(0, "models", len(a))
    table.insert(1, "pairs", int(known.sum()))
    return table


def _pairs(measured: Matrix, reference: Matrix, set_aside: Collection[str]) -> pd.DataFrame:
    """The table `pairs_compared` of two matrices of the same models.

    The error of a difference combines the larger value's error downwards and the smaller one's upwards (Zou and Donner,
    Statistics in Medicine 27, 2008). It is NaN on the diagonal, where the attack differs.
    """
    models = np.array(measured.models)
    rows, columns = np.triu_indices(len(models))
    table = pd.DataFrame({"model_a": models[rows], "model_b": models[columns]})
    table["measured"] = measured.sat.to_numpy()[rows, columns]
    table["reference"] = reference.sat.to_numpy()[rows, columns]
    table["difference"] = table["measured"] - table["reference"]
    fall, rise = (
        np.hypot(high.below.to_numpy(), low.above.to_numpy())[rows, columns]
        for high, low in ((measured, reference), (reference, measured))
    )
    table["error"] = np.where(rows == columns, np.nan, np.where(table["difference"] > 0, fall, rise))
    table["standard_errors"] = table["difference"] / table["error"]
    return table.assign(set_aside=table["model_a"].isin(set_aside) | table["model_b"].isin(set_aside))


def _first(models: Sequence[str], number: int = 3) -> str:
    """The first `number` names and how many more there are."""
    more = f" and {len(models) - number} more" if len(models) > number else ""
    return (", ".join(models[:number]) or "no models") + more


def _measures(x: Array, y: Array) -> dict[str, float]:
    """The measures that are sums over pairs, x measured and y reference, both [P]; none where there is no pair."""
    if not x.size:
        return {}
    difference = x - y
    offset = difference.mean()
    centred = y - y.mean()
    return {
        "spearman": spearman(x, y),
        "pearson": pearson(x, y),
        "offset": offset,
        "slope": float(centred @ x / (centred @ centred)) if np.ptp(y) else np.nan,
        "mean_absolute_difference": np.abs(difference).mean(),
        "centred_absolute_difference": np.abs(difference - offset).mean(),
    }


def _neighbours(a: Array, b: Array, orders: Sequence[Order]) -> Iterator[tuple[str | float, ...]]:
    partners = np.isfinite(a).sum(axis=1)
    for name, number, total in (("same_nearest", 1, 1), ("nearest_overlap", NEIGHBOURS, int((partners > 0).sum()))):
        k = min(number, len(a) - 1)
        near = are_nearest(a, k), are_nearest(b, k)
        chosen = np.minimum(partners, k)
        with np.errstate(invalid="ignore"):
            same = np.nansum((near[0] & near[1]).sum(axis=1) / chosen)
            chance = np.nansum(chosen / partners)
        yield name, same / total, np.nan, np.nan, chance / total, _permuted_p(*near, orders)


def _white_box(measured: Matrix, reference: Matrix) -> Iterator[tuple[str | float, ...]]:
    """The rows of mean white-box success over the models where both matrices have it."""
    rates = np.exp([np.diag(matrix.sat) for matrix in (measured, reference)]) / 100
    rates = rates[:, np.isfinite(rates).all(axis=0)]
    for name, values in zip(("white_box_measured", "white_box_reference"), rates, strict=True):
        yield name, values.mean() if values.size else np.nan


def _reliability(values: Array, error: Array) -> float:
    """The share of the variance of values, [P], that is not due to their standard errors, [P]; at least 0."""
    variance = np.var(values)
    return max(0.0, float(1 - np.mean(error**2) / variance)) if variance else 0.0


def _resampled(a: Array, b: Array, times: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """The known pairs of distinct models among models drawn with replacement, from both matrices."""
    upper = np.triu_indices(len(a), 1)
    for _ in range(times):
        drawn = rng.integers(0, len(a), len(a))
        pairs = drawn[upper[0]], drawn[upper[1]]
        x, y = a[pairs], b[pairs]
        known = np.isfinite(x)
        yield x[known], y[known]


def _ranks(values: Array) -> Array:
    """Ranks of the entries among those that are not NaN; NaN stays NaN."""
    return rankdata(values, nan_policy="omit").reshape(values.shape)


def _standard(values: Array) -> Array:
    """Entries minus their mean over their standard deviation, 0 where missing."""
    spread = np.nanstd(values)
    return np.nan_to_num((values - np.nanmean(values)) / (spread if spread else 1))


def _permuted_p(x: NDArray[Any], y: NDArray[Any], orders: Sequence[Order]) -> float:
    """The one-sided p value of the sum of x·y, both [M, M], when the models of y are put in other orders."""
    return permutation_p((x * y).sum(), [(x * y[np.ix_(order, order)]).sum() for order in orders])
