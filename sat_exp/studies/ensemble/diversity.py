"""How far what an ensemble gains goes with how unlike its members are.

Ensembles of one pool share members: intervals come from drawing models, p values from exchanging them, as for pairs in
`relations`, of which this is the same for any size.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.relations import basis_of
from sat_exp.studies.ensemble.ensembles import Ensembles, distinct, pair_mean

Array = NDArray[np.float64]
Members = NDArray[np.integer]

Value = Callable[[Members], Array]
"""What can be said of any ensembles from their members alone: int [E, n], ascending in each row → float64 [E]."""

USED = 10_000
"""Ensembles of a size that intervals and p values are computed from, a seeded sample where there are more: the models
are what is drawn, and more ensembles of the same models tell little more."""

FEWEST = 5
"""Ensembles that a mean needs for an interval."""


def values(matrices: Mapping[str, Array], clusters: NDArray[np.integer], errors: Array) -> dict[str, Value]:
    """What the members tell of an ensemble, by name: the mean over its pairs of each of `matrices`, [M, M] by name;
    clusters, how many distinct of clusters int [M]; members_error and accuracy_gap, as in `Ensembles.table`, from each
    model's error, [M]."""
    means: dict[str, Value] = {name: partial(pair_mean, matrix) for name, matrix in matrices.items()}
    return means | {
        "clusters": lambda members: distinct(clusters, members).astype(np.float64),
        "members_error": lambda members: errors[members].mean(axis=1),
        "accuracy_gap": lambda members: np.ptp(errors[members], axis=1),
    }


def relation(
    found: Ensembles,
    known: Mapping[str, Value],
    measures: Sequence[str],
    *,
    models: int,
    explaining: Sequence[str] = ("sat", "clusters"),
    given: Sequence[str] = ("members_error", "accuracy_gap"),
    resamples: int = 1000,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlation of each of `measures`, columns of `found.table`, with each of `explaining`, of `known`.

    A row each without and with `given` accounted for: size; measure; with, the explaining one; given, the names of what
    is accounted for, "" for the plain correlation; ensembles, how many; used, how many of them for what follows;
    spearman, the correlation over all ensembles of what least squares on the ranks of `given` leaves of both ranks, low
    and high, percentiles of `resamples` draws of models with replacement, an ensemble counting as often as its members'
    multiplicities multiply to; p, two-sided: what is left of the explaining one is, as a function of ensembles, taken
    of those that `permutations` orders of the models make of each (Dekker, Krackhardt and Snijders, Psychometrika 72,
    2007, who do so for pairs). NaN where one of the two does not vary.
    """
    table = found.table.dropna(subset=list(measures))
    rng = np.random.default_rng([seed, found.size])
    used = table.index.to_numpy()
    if len(used) > USED:
        used = np.sort(rng.choice(used, USED, replace=False, shuffle=False))
    members, names = found.members[used], [*explaining, *given]
    of_members = [known[name](members) for name in names]
    columns = np.column_stack([*of_members, *(table.loc[used, name] for name in measures)])
    place = {name: position for position, name in enumerate([*names, *measures])}
    whole = np.column_stack([*(known[name](found.members[table.index]) for name in names), table[list(measures)]])
    spreads = [_spread(_ranks(whole), np.ones(len(whole)))]
    ranked = _weighted_ranks(columns)
    for _ in range(resamples if len(used) else 0):
        weights = multiplicity(members, models, rng)
        spreads.append(_spread(ranked(weights), weights))
    orders = [np.arange(models), *(rng.permutation(models) for _ in range(permutations))]
    moved = (_places(columns, [known[name](np.sort(order[members], axis=1)) for name in names]) for order in orders)
    ways = [(one, controls) for one in explaining for controls in [[], list(given)][: 2 if given else 1]]
    p = _exchanged(moved, _ranks(columns), [[place[name] for name in (one, *more)] for one, more in ways], len(names))
    tail, rows = (1 - confidence) / 2, []
    for at_measure, measure in enumerate(measures):
        for at_way, (one, controls) in enumerate(ways):
            at = [place[name] for name in (one, measure, *controls)]
            drawn = np.array([_partial(spread[np.ix_(at, at)]) for spread in spreads])
            ends = _quantiles(drawn[1:], [tail, 1 - tail])
            counts = len(table), len(used)
            rows.append(
                (found.size, measure, one, " + ".join(controls), *counts, drawn[0], *ends, p[at_way, at_measure])
            )
    heads = ["size", "measure", "with", "given", "ensembles", "used", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=heads)


def summary(found: Ensembles) -> pd.DataFrame:
    """One row: size, ensembles, whole; the means of members_error, error, reduction, all_wrong and sat; reduction_low,
    reduction_high, the 5th and 95th percentile of ensembles; error_least, the smallest error."""
    table = found.table
    means = {name: table[name].mean() for name in ("members_error", "error", "reduction", "all_wrong", "sat")}
    spread = {f"reduction_{end}": table["reduction"].quantile(q) for end, q in (("low", 0.05), ("high", 0.95))}
    counts = {"size": found.size, "ensembles": len(table), "whole": found.whole}
    return pd.DataFrame([counts | means | spread | {"error_least": table["error"].min()}])


def multiplicity(members: Members, models: int, rng: np.random.Generator) -> Array:
    """How often each ensemble occurs, [E], when as many models as there are are drawn with replacement."""
    times = np.bincount(rng.integers(0, models, models), minlength=models)
    return times[members].prod(axis=1).astype(np.float64)


def by_clusters(found: Ensembles, *, models: int, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """What ensembles of members from so many distinct clusters come to, a row each number of them: size, clusters,
    ensembles; the means of reduction, all_wrong, error and members_error; and the 95 % intervals of the first two,
    _low and _high, over draws of models as in `relation`, the clusters being as they are; NaN for fewer than five."""
    table = found.table.dropna()
    cells = table["clusters"].to_numpy()
    means = table.groupby("clusters")[["reduction", "all_wrong", "error", "members_error"]].mean()
    means.insert(0, "ensembles", table.groupby("clusters").size())
    measures = ["reduction", "all_wrong"]
    drawn = _drawn_means(found.members[table.index], cells, table[measures].to_numpy(), models, resamples, seed)
    for at, measure in enumerate(measures):
        ends = np.reshape([_quantiles(drawn[:, number, at], [0.025, 0.975]) for number in means.index], (-1, 2))
        means[[f"{measure}_low", f"{measure}_high"]] = np.where(means[["ensembles"]] >= FEWEST, ends, np.nan)
    return means.reset_index().assign(size=found.size)[["size", "clusters", *means.columns]]


def matched(found: Ensembles, *, models: int, groups: int = 5, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The third of least and the third of largest mean SAT among ensembles of about the same members' error.

    A row each of `groups` equal parts by members_error, fewer where a part would not have twelve, and a last one, group
    "all", their mean: size, group, members_error_low and _high; ensembles, in both thirds; members_error_unlike and
    members_error_alike, how well matched they are; reduction_unlike and reduction_alike, the means; difference, the
    first less the second, with low and high, 95 % over draws of models as in `relation`, the parts being as they are.
    """
    table = found.table.dropna()
    groups = max(1, min(groups, len(table) // 12))
    group = pd.qcut(table["members_error"].rank(method="first"), groups, labels=False)
    third = table["sat"].groupby(group).rank(method="first", pct=True)
    side = np.select([third <= 1 / 3, third > 2 / 3], [0, 1], -1)
    table, group = table[side >= 0], group[side >= 0].to_numpy()
    cells = 2 * group + side[side >= 0]
    drawn = _drawn_means(
        found.members[table.index], cells, table[["reduction"]].to_numpy(), models, resamples, seed, cells=2 * groups
    )
    apart = drawn[:, 0::2, 0] - drawn[:, 1::2, 0]
    rows = []
    for number in range(groups):
        inside = table[group == number]
        two = inside.groupby(cells[group == number] % 2)[["members_error", "reduction"]].mean().reindex([0, 1])
        bounds = inside["members_error"].min(), inside["members_error"].max()
        rows.append((found.size, str(number + 1), *bounds, len(inside), *two["members_error"], *two["reduction"]))
    heads = ["size", "group", "members_error_low", "members_error_high", "ensembles"]
    heads += [f"{name}_{side}" for name in ("members_error", "reduction") for side in ("unlike", "alike")]
    result = pd.DataFrame(rows, columns=heads)
    total = result.drop(columns=["size", "group"]).mean().to_dict()
    total |= {"members_error_low": result["members_error_low"].min(), "ensembles": len(table)}
    total |= {"members_error_high": result["members_error_high"].max(), "size": found.size, "group": "all"}
    result = pd.concat([result, pd.DataFrame([total])], ignore_index=True).astype({"ensembles": int})
    result["difference"] = result["reduction_unlike"] - result["reduction_alike"]
    ends = [_quantiles(part, [0.025, 0.975]) for part in (*apart.T, apart.mean(axis=1))]
    return result.assign(low=[low for low, _ in ends], high=[high for _, high in ends])


def binned(found: Ensembles, by: str = "sat", bins: int = 20, least: int = 20) -> pd.DataFrame:
    """Ensembles in `bins` equal parts by a column of the table, fewer where a part would not have `least`.

    A row each: size; by, the column's name; value, its mean in the part, value_low, value_high; ensembles; the means of
    reduction, all_wrong and error; reduction_low and reduction_high, the 5th and 95th percentile of ensembles.
    """
    table = found.table.dropna()
    part = pd.qcut(table[by].rank(method="first"), min(bins, max(1, len(table) // least)), labels=False)
    of = table.groupby(part)
    return pd.DataFrame(
        {
            "size": found.size,
            "by": by,
            "value": of[by].mean(),
            "value_low": of[by].min(),
            "value_high": of[by].max(),
            "ensembles": of.size(),
            **{name: of[name].mean() for name in ("reduction", "all_wrong", "error")},
            "reduction_low": of["reduction"].quantile(0.05),
            "reduction_high": of["reduction"].quantile(0.95),
        }
    ).reset_index(drop=True)


def _drawn_means(
    members: Members,
    cell: NDArray[np.integer],
    measured: Array,
    models: int,
    resamples: int,
    seed: int,
    cells: int | None = None,
) -> Array:
    """The means of `measured` [E, K] in each cell, int [E], under draws of models, [resamples, cells, K]; NaN where a
    draw leaves nothing of a cell. Of more than three times USED ensembles a sample."""
    rng = np.random.default_rng([seed, members.shape[1]])
    count = cells or int(cell.max(initial=-1)) + 1
    if len(cell) > 3 * USED:
        kept = rng.choice(len(cell), 3 * USED, replace=False, shuffle=False)
        members, cell, measured = members[kept], cell[kept], measured[kept]
    drawn = np.empty((resamples, count, measured.shape[1]))
    for row in range(resamples):
        weights = multiplicity(members, models, rng)
        size = np.bincount(cell, weights, minlength=count)
        for at, column in enumerate(measured.T):
            with np.errstate(invalid="ignore"):
                drawn[row, :, at] = np.bincount(cell, weights * column, minlength=count) / size
    return drawn


def _quantiles(drawn: Array, wanted: Sequence[float]) -> tuple[float, ...]:
    """Quantiles of what is not NaN; NaN where nothing is left."""
    left = drawn[~np.isnan(drawn)]
    return tuple(np.quantile(left, wanted)) if len(left) else (np.nan,) * len(wanted)


def _ranks(columns: Array) -> Array:
    return _weighted_ranks(columns)(np.ones(len(columns)))


def _weighted_ranks(columns: Array) -> Callable[[Array], Array]:
    """Ranks [E, K] of each column as a function of how often each row counts, [E]; equal values have their mean."""
    sorted_once = []
    for column in columns.T:
        order = np.argsort(column, kind="stable")
        new = np.r_[True, np.diff(column[order]) > 0][: len(column)]
        group = np.empty(len(column), np.int64)
        group[order] = np.cumsum(new) - 1
        sorted_once.append(group)

    def ranked(weights: Array) -> Array:
        found = np.empty(columns.shape)
        for position, group in enumerate(sorted_once):
            size = np.bincount(group, weights)
            found[:, position] = (np.cumsum(size) - size + (size + 1) / 2)[group]
        return found

    return ranked


def _spread(ranks: Array, weights: Array) -> Array:
    """The weighted covariance matrix of the columns of `ranks`, [K, K]; NaN where nothing has weight."""
    total = weights.sum()
    if total == 0:
        return np.full((ranks.shape[1],) * 2, np.nan)
    centred = ranks - weights @ ranks / total
    return (centred * weights[:, None]).T @ centred / total


def _partial(spread: Array) -> float:
    """The correlation of the first two columns given the others, from their covariances; NaN where undefined."""
    if np.isnan(spread).any():
        return np.nan
    explained = spread[:2, 2:] @ np.linalg.pinv(spread[2:, 2:], rcond=1e-9, hermitian=True) @ spread[2:, :2]
    rest = spread[:2, :2] - explained
    if (np.diag(rest) <= 1e-9 * np.maximum(np.diag(spread)[:2], 1e-9)).any():
        return np.nan
    return float(rest[0, 1] / np.sqrt(rest[0, 0] * rest[1, 1]))


def _places(columns: Array, moved: Sequence[Array]) -> Array:
    """The ranks that other values, K of [E], have among the first K of `columns`, [E, K]."""
    places = []
    for column, other in zip(columns.T, moved, strict=False):
        known = np.sort(column)
        places.append((np.searchsorted(known, other, "left") + np.searchsorted(known, other, "right") + 1) / 2)
    return np.column_stack(places)


def _exchanged(moved: Iterable[Array], ranks: Array, ways: Sequence[Sequence[int]], names: int) -> Array:
    """Two-sided p of `relation`, [ways, measures]. moved: of each order, the ensembles' own the first, ranks [E, names]
    of what the members tell; ranks: [E, names + measures]; ways: columns of the explaining one and of the controls."""
    fits = [np.linalg.lstsq(_with_one(ranks[:, way[1:]]), ranks[:, way[0]], rcond=None)[0] for way in ways]
    bases = [basis_of(ranks[:, way[1:]]) for way in ways]
    measured = [ranks[:, names:] - basis @ (basis.T @ ranks[:, names:]) for basis in bases]
    sizes = np.array([
        [_size(here[:, way[0]] - _with_one(here[:, way[1:]]) @ fit, basis, left)
         for way, fit, basis, left in zip(ways, fits, bases, measured, strict=True)]
        for here in moved
    ])  # fmt: skip
    still = np.array([(np.ptp(left, axis=0) <= 1e-9 * len(ranks)) for left in measured])
    return np.where(still | np.isnan(sizes[0]), np.nan, (sizes >= sizes[0] * (1 - 1e-9)).mean(axis=0))


def _size(rest: Array, basis: Array, measured: Array) -> Array:
    """How large the correlation of `rest` [E], less what `basis` explains, with `measured` is, up to a factor the same
    for all orders; NaN where nothing is left."""
    varies = np.ptp(rest) > 1e-9 * len(rest)
    left = rest - basis @ (basis.T @ rest)
    length = np.linalg.norm(left)
    return np.abs(left @ measured) / length if varies and length > 0 else np.full(measured.shape[1], np.nan)


def _with_one(columns: Array) -> Array:
    return np.column_stack([np.ones(len(columns)), columns])
