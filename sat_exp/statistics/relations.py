"""How far SAT goes with another measure of the same pairs, also once a third is accounted for.

Pairs that share a model are not independent: intervals come from drawing models, p values from exchanging them.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def relation(
    pairs: pd.DataFrame,
    measures: Sequence[str],
    given: Sequence[str] = (),
    *,
    resamples: int = 1000,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlation of SAT with each of `measures`, over the pairs of distinct models where all is known.

    `pairs`: model_a, model_b, sat, and the columns `measures` and `given`, a row for each unordered pair.

    Two rows a measure, one row without `given`: measure; given, the names of what is accounted for, "" for the plain
    correlation; models, pairs, how many; spearman, the correlation of what least squares on the ranks of `given` leaves
    of both ranks, with low and high, percentiles of `resamples` draws of models with replacement; p, see `exchanged`.
    NaN where one of the two does not vary.
    """
    apart = pairs[pairs["model_a"] != pairs["model_b"]]
    tail = (1 - confidence) / 2
    rows = []
    for measure in measures:
        for controls in [[], list(given)][: 2 if given else 1]:
            known = apart.dropna(subset=["sat", measure, *controls])
            models = pd.Index(pd.unique(known[["model_a", "model_b"]].to_numpy().ravel()))
            first, second = (models.get_indexer(known[name]) for name in ("model_a", "model_b"))
            columns = known[["sat", measure, *controls]].to_numpy(np.float64)
            rng = np.random.default_rng(seed)
            drawn = []
            for _ in range(resamples if len(known) else 0):
                times = np.bincount(rng.integers(0, len(models), len(models)), minlength=len(models))
                drawn.append(partial_correlation(columns.repeat(times[first] * times[second], axis=0)))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
                low, high = np.nanquantile(drawn, [tail, 1 - tail]) if drawn else (np.nan, np.nan)
            ranks = rankdata(columns, axis=0)
            p = exchanged(first, second, ranks[:, 1], ranks[:, 0], ranks[:, 2:], permutations, rng)
            rows.append(
                (
                    measure,
                    " + ".join(controls),
                    len(models),
                    len(known),
                    partial_correlation(columns),
                    float(low),
                    float(high),
                    p,
                )
            )
    return pd.DataFrame(rows, columns=["measure", "given", "models", "pairs", "spearman", "low", "high", "p"])


def exchanged(
    first: Indices,
    second: Indices,
    x: Array,
    y: Array,
    controls: Array,
    permutations: int,
    rng: np.random.Generator,
) -> float:
    """Two-sided p of the partial correlation of x with y, both [P], given the columns of `controls`, [P, K].

    `first`, `second`: which two models a pair is of. What least squares on `controls` leaves of x is, as a matrix over
    models, put in `permutations` orders of the models, the identity counted beside them (Dekker, Krackhardt and
    Snijders, Psychometrika 72, 2007: double semi-partialing; without `controls` Mantel's test); a missing pair counts
    as an average one there. NaN where `controls` determine x or y.
    """
    if not x.size:
        return np.nan
    models = int(max(first.max(), second.max())) + 1
    basis = basis_of(controls)
    rest_x, rest_y = (part - basis @ (basis.T @ part) for part in (x, y))
    if any(np.ptp(rest) <= 1e-9 * np.abs(part).max() for rest, part in ((rest_x, x), (rest_y, y))):
        return np.nan
    square = np.zeros((models, models))
    square[first, second] = square[second, first] = rest_x
    orders = [np.arange(models), *(rng.permutation(models) for _ in range(permutations))]
    moved = np.array([square[order[first], order[second]] for order in orders])
    moved -= (moved @ basis) @ basis.T
    length = np.linalg.norm(moved, axis=1)
    sizes = np.abs(moved @ rest_y) / np.where(length > 0, length, 1)
    return float((sizes >= sizes[0] * (1 - 1e-9)).mean())


def basis_of(controls: Array) -> Array:
    """Orthonormal columns that span the constant and `controls`."""
    centred = controls - controls.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = sizes > 1e-9 * max(1.0, np.abs(controls).max(initial=0) * np.sqrt(len(controls)))
    return np.column_stack([np.full(len(controls), len(controls) ** -0.5), left[:, kept]])


def partial_correlation(columns: Array) -> float:
    """Rank correlation of the first two columns given the others, [P, 2 + K]; NaN where it is not defined."""
    if len(columns) < columns.shape[1] + 1:
        return np.nan
    ranks = rankdata(columns, axis=0)
    basis = basis_of(ranks[:, 2:])
    rest = ranks[:, :2] - basis @ (basis.T @ ranks[:, :2])
    if (np.ptp(rest, axis=0) <= 1e-9 * len(ranks)).any():
        return np.nan
    return float(np.corrcoef(rest.T)[0, 1])
