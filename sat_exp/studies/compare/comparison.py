"""Agreement of two SAT matrices over the models they share.

The pairs of a pool are not independent: two pairs with a model in common share its peculiarities. Intervals therefore
come from resampling models, and p values from exchanging them.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.similarity import matrices

Array = NDArray[np.float64]

LEAST = 3
"""Models that a comparison needs: their three pairs are the fewest that can be correlated."""

NEAREST, LARGEST = 5, 10

ROUNDING = 1e-4
"""By how much a value that was written with few digits may lie outside of its range."""

PUBLISHED_ERROR, PUBLISHED_IMAGES, PUBLISHED_MEAN = 0.027, 5000, 2.665
"""The standard error of a typical pair of the published matrix, the images it rests on, and that pair's SAT."""


@dataclass(frozen=True)
class Matrix:
    """SAT of every pair of a pool, float64 [M, M], symmetric, NaN where unknown; and its standard errors downwards and
    upwards, [M, M] each: how far the ends of its interval lie from it, in units of the normal quantile."""

    name: str
    sat: pd.DataFrame
    below: pd.DataFrame
    above: pd.DataFrame

    @property
    def models(self) -> list[str]:
        return list(self.sat.index)

    @property
    def error(self) -> pd.DataFrame:
        """The standard error where its direction does not matter, [M, M]; see `similarity.standard_error`."""
        return ((self.below**2 + self.above**2) / 2) ** 0.5

    def renamed(self, aliases: Mapping[str, str]) -> "Matrix":
        """The same with the names that `aliases` has replaced; UserError where two become one."""
        names = [aliases.get(model, model) for model in self.models]
        for model, name in zip(self.models, names, strict=True):
            if names.count(name) > 1:
                raise UserError(f"{self.name} has {name} twice, once as {model}: leave one of them out")
        return Matrix(self.name, *(_labelled(part.to_numpy(), names) for part in (self.sat, self.below, self.above)))

    def of(self, models: Collection[str]) -> "Matrix":
        chosen = list(models)
        return Matrix(self.name, *(part.loc[chosen, chosen] for part in (self.sat, self.below, self.above)))


@dataclass(frozen=True)
class Comparison:
    """agreement: group, models, pairs, measure, value, low, high, expected, p; see `agreement`.
    pairs_compared: model_a, model_b, measured, reference, difference = measured − reference, error = the standard
    error of the difference, standard_errors = difference/error (both NaN on the diagonal, where it is the attack that
    differs), set_aside = whether one of the two models is; a row for every unordered pair, the diagonal included. The
    error is the root of the sum of squares of the larger value's error downwards and the smaller one's upwards (Zou and
    Donner, Statistics in Medicine 27, 2008).
    disagreements: the ten rows of pairs_compared off the diagonal with the largest differences.
    """

    agreement: pd.DataFrame
    pairs_compared: pd.DataFrame
    disagreements: pd.DataFrame


def read(path: Path, images: int, floor: float = similarity.SAT_FLOOR) -> Matrix:
    """A square CSV matrix whose first row and column name the models; `images`: how many each value rests on; `floor`:
    the least mean transfer rate, in percent, that a value can be of.

    Rows and columns are matched by name, and an empty entry is taken from across the diagonal. UserError for a file
    that is not such a matrix: of SAT, so of logarithms of percentages, and not the same for all pairs.
    """
    table = matrices.read(path, "a square matrix of SAT")
    if "model_b" in table.columns:
        raise UserError(f"{path} is a table of pairs, not a square matrix: give the folder of its run")
    alone = [*table.index.symmetric_difference(table.columns)]
    if table.shape[0] != table.shape[1] or alone:
        rows, columns = table.shape
        hint = f"; {alone[0]} has not both a row and a column" if alone else ""
        raise UserError(f"{path} is not a square matrix of the same models: {rows} rows, {columns} columns{hint}")
    sat = matrices.numbers(path, table)[list(table.index)]
    sat = sat.where(sat.notna(), sat.T)
    if not np.allclose(sat, sat.T, atol=1e-4, equal_nan=True):
        raise UserError(f"{path} is not symmetric: give SAT, not directed rates")
    check_range(path, sat, floor)
    either_way = sampling_error(sat, images)
    return Matrix(path.stem, sat, either_way, either_way)


def check_range(path: Path, sat: pd.DataFrame, floor: float) -> None:
    """UserError for values that are no SAT, and for a matrix that tells no two pairs apart."""
    values, low, high = sat.to_numpy(), math.log(floor), math.log(100)
    for row, column in np.argwhere(np.isfinite(values) & ~((values >= low - ROUNDING) & (values <= high + ROUNDING))):
        raise UserError(
            f"{path} has {values[row, column]:g} at {sat.index[row]}, {sat.columns[column]}: SAT, the logarithm of a "
            f"percentage, lies between {low:.3g} and {high:.3g}"
        )
    for model in np.flatnonzero(np.diag(values) < 0):
        raise UserError(
            f"{path} has {values[model, model]:g} for {sat.index[model]} and itself: the attack must fool the model it "
            "was made on, give SAT"
        )
    between = values[np.triu_indices(len(values), 1)]
    between = between[np.isfinite(between)]
    if len(between) > 1 and np.ptp(between) == 0:
        raise UserError(f"{path} has {between[0]:g} for all pairs: give a matrix that was measured")


def of_pairs(name: str, pairs: pd.DataFrame, confidence: float = 0.95) -> Matrix:
    """The matrix of a table of pairs; standard errors from its intervals, whose `confidence` is given."""
    unit = ndtri((1 + confidence) / 2)
    below, above = (
        similarity.matrix(pairs.assign(sat=(pairs["sat"] - pairs[end]).abs() / unit)) for end in ("sat_low", "sat_high")
    )
    return Matrix(name, similarity.matrix(pairs), below, above)


def sampling_error(sat: pd.DataFrame, images: int) -> pd.DataFrame:
    """The standard error of SAT values of which only the number of images is known.

    SAT is the log of a rate p, whose error by the delta method is proportional to √((1 − p)/(p·images)); the factor is
    such that a pair of the published matrix's mean has the error known for it, 0.027 for 5,000 images.
    """
    most = 1 - 1 / (2 * images)  # nor is a rate of 1 known without error

    def odds(value: Array | float) -> Array:
        rate = np.clip(np.exp(value) / 100, 1 - most, most)
        return rate / (1 - rate)

    scale = PUBLISHED_ERROR * np.sqrt(PUBLISHED_IMAGES / images * odds(PUBLISHED_MEAN))
    return _labelled(scale / np.sqrt(odds(sat.to_numpy())), list(sat.index))


def compare(
    measured: Matrix,
    reference: Matrix,
    *,
    set_aside: Collection[str] = (),
    reason: str = "those set aside",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Agreement of the two matrices over their common models, group "all", and without `set_aside`, group
    "without `reason`", where that leaves fewer, and enough.

    UserError where they have fewer than three models, or pairs known to both, in common.
    """
    known = set(reference.models)
    common = [model for model in measured.models if model in known]
    if len(common) < LEAST:
        raise UserError(
            f"{len(common)} models in common, where {LEAST} are needed: {measured.name} has {_first(measured.models)}; "
            f"{reference.name} has {_first(reference.models)}"
        )
    measured, reference = measured.of(common), reference.of(common)
    pairs = _pairs(measured, reference, set(set_aside))
    between = pairs[pairs["model_a"] != pairs["model_b"]].dropna(subset="difference")
    if len(between) < LEAST:
        raise UserError(
            f"{len(between)} pairs known to both {measured.name} and {reference.name}, where {LEAST} are needed: "
            "measure more pairs"
        )
    groups = {"all": common}
    kept = [model for model in common if model not in set(set_aside)]
    if len(kept) < len(common) and (~between["set_aside"]).sum() >= LEAST:
        groups[f"without {reason}"] = kept
    tables = []
    for group, models in groups.items():
        table = agreement(
            measured.of(models), reference.of(models), resamples=resamples, confidence=confidence, seed=seed
        )
        table.insert(0, "group", group)
        tables.append(table)
    largest = between["difference"].abs().sort_values(ascending=False, kind="stable").index[:LARGEST]
    return Comparison(pd.concat(tables, ignore_index=True), pairs, between.loc[largest].reset_index(drop=True))


def agreement(
    measured: Matrix, reference: Matrix, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """How well two matrices of the same models in the same order agree: one row a measure.

    models, pairs: how many; pairs are those off the diagonal known to both. measure:

    - spearman, pearson: correlation over the pairs
    - pearson_ceiling: what two matrices of the same truth would reach with these standard errors, the root of the
      product of both reliabilities, 1 − mean squared error/variance
    - offset: mean of measured − reference; slope: of the least-squares line of measured on reference, which sampling
      error of the reference makes flatter
    - mean_absolute_difference, and centred_absolute_difference once the offset is taken off; expected: what their
      standard errors alone would give, the mean over pairs of √(2/π) times the error of a difference
    - same_nearest: how many models have the same nearest neighbour in both; nearest_overlap: the mean share of a
      model's five nearest (all, where it has fewer) that are the same; expected: by chance
    - white_box_measured, white_box_reference: mean white-box success of the models, from the diagonals

    low, high: percentile interval from `resamples` draws of models with replacement, pairs of a model with itself left
    out; too wide where differences belong to single pairs and not to models, and where a correlation is due to models a
    95 % interval covers it in about 90 % of pools of 30. p: share of `resamples` exchanges of the reference's models
    among each other, the identity counted, that agree at least as well (Mantel, Cancer Research 27, 1967); a missing
    pair counts as an average one there. NaN where a column says nothing.
    """
    a, b = measured.sat.to_numpy(copy=True), reference.sat.to_numpy(copy=True)
    white_box = np.exp([np.diag(a), np.diag(b)]) / 100
    white_box = white_box[:, np.isfinite(white_box).all(axis=0)]
    a[np.isnan(b)] = np.nan
    np.fill_diagonal(a, np.nan)
    b[np.isnan(a)] = np.nan
    upper = np.triu_indices(len(a), 1)
    known = np.isfinite(a[upper])
    errors = [both.error.to_numpy()[upper][known] for both in (measured, reference)]
    noise = float(np.sqrt(2 / np.pi) * np.mean(np.hypot(*errors)))
    reliability = [_reliability(values[upper][known], error) for values, error in zip((a, b), errors, strict=True)]
    expected = {
        "spearman": 0.0,
        "pearson": 0.0,
        "mean_absolute_difference": noise,
        "centred_absolute_difference": noise,
    }

    rng = np.random.default_rng(seed)
    samples = pd.DataFrame([_measures(x, y) for x, y in _resampled(a, b, resamples, rng)])
    tail = (1 - confidence) / 2
    low, high = (samples.quantile(end) for end in (tail, 1 - tail))
    orders = [rng.permutation(len(a)) for _ in range(resamples - 1)]
    p = {
        "spearman": _exchanged(_standard(_ranks(a)), _standard(_ranks(b)), orders),
        "pearson": _exchanged(_standard(a), _standard(b), orders),
    }
    rows: list[tuple[str | float, ...]] = [
        (name, value, low[name], high[name], expected.get(name, np.nan), p.get(name, np.nan))
        for name, value in _measures(a[upper][known], b[upper][known]).items()
    ]
    rows.insert(2, ("pearson_ceiling", float(np.sqrt(np.prod(reliability))), *[np.nan] * 4))
    partners = np.isfinite(a).sum(axis=1)
    for name, k, of in (("same_nearest", 1, 1), ("nearest_overlap", NEAREST, int((partners > 0).sum()))):
        k = min(k, len(a) - 1)
        near = _nearest(a, k), _nearest(b, k)
        chosen = np.minimum(partners, k)
        with np.errstate(invalid="ignore"):
            same = np.nansum((near[0] & near[1]).sum(axis=1) / chosen)
            chance = np.nansum(chosen / partners)
        rows.append((name, same / of, np.nan, np.nan, chance / of, _exchanged(*near, orders)))
    for name, rates in zip(("white_box_measured", "white_box_reference"), white_box, strict=True):
        rows.append((name, rates.mean() if rates.size else np.nan, *[np.nan] * 4))
    table = pd.DataFrame(rows, columns=["measure", "value", "low", "high", "expected", "p"])
    table.insert(0, "models", len(a))
    table.insert(1, "pairs", int(known.sum()))
    return table


def _measures(x: Array, y: Array) -> dict[str, float]:
    """The measures that are sums over pairs, x measured and y reference, both [P]; NaN where either is constant."""
    difference = x - y
    offset = difference.mean() if x.size else np.nan
    return {
        "spearman": _correlation(rankdata(x), rankdata(y)),
        "pearson": _correlation(x, y),
        "offset": offset,
        "slope": _slope(x, y),
        "mean_absolute_difference": np.abs(difference).mean() if x.size else np.nan,
        "centred_absolute_difference": np.abs(difference - offset).mean() if x.size else np.nan,
    }


def _reliability(values: Array, error: Array) -> float:
    """The share of the variance of values, [P], that is not due to their standard errors, [P]; 0 where all is."""
    variance = np.var(values)
    return max(0.0, float(1 - np.mean(error**2) / variance)) if variance else 0.0


def _correlation(x: Array, y: Array) -> float:
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def _slope(x: Array, y: Array) -> float:
    """Of the least-squares line of x on y."""
    if y.size < 2 or np.ptp(y) == 0:
        return np.nan
    centred = y - y.mean()
    return float(centred @ x / (centred @ centred))


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
    """Ranks of the entries among the known ones; NaN stays NaN."""
    return rankdata(values, nan_policy="omit").reshape(values.shape)


def _standard(values: Array) -> Array:
    """Entries minus their mean over their standard deviation, 0 where missing."""
    spread = np.nanstd(values)
    return np.nan_to_num((values - np.nanmean(values)) / (spread if spread else 1))


def _exchanged(x: NDArray[Any], y: NDArray[Any], orders: Sequence[NDArray[np.int64]]) -> float:
    """How often the sum of x·y, both [M, M], is as large when the models of y are put in other orders; one-sided p."""
    found = (x * y).sum()
    sums = np.array([(x * y[np.ix_(order, order)]).sum() for order in orders])
    return float((1 + (sums >= found - 1e-9 * abs(found)).sum()) / (1 + len(orders)))


def _nearest(values: Array, k: int) -> NDArray[np.bool_]:
    """Whether the column's model is one of the k most similar to the row's, bool [M, M]; of equals, the first."""
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=1, kind="stable")[:, :k]
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, order, True, axis=1)
    return chosen & np.isfinite(values)


def _pairs(measured: Matrix, reference: Matrix, set_aside: set[str]) -> pd.DataFrame:
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
    error = np.where(table["difference"] > 0, fall, rise)
    table["error"] = np.where(rows == columns, np.nan, error)
    table["standard_errors"] = table["difference"] / table["error"]
    aside = np.isin(models, list(set_aside))
    table["set_aside"] = aside[rows] | aside[columns]
    return table


def _labelled(values: Array, models: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(values, index=list(models), columns=list(models))


def _first(models: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(models) - shown} more" if len(models) > shown else ""
    return (", ".join(models[:shown]) or "no models") + more
