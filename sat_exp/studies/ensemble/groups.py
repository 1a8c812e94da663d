"""Means over groups of ensembles: by size, by number of clusters, by similarity, and matched by accuracy."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.resampling import percentile_interval
from sat_exp.studies.ensemble.members import Array, Ensembles, Members

SAMPLE = 10_000
"""The most ensembles of a size for intervals and p values, a seeded sample if there are more: models are drawn, and
more ensembles of the same models add little."""

FEWEST = 5
"""The fewest ensembles for the interval of a mean."""


def summary(ensembles: Ensembles) -> pd.DataFrame:
    """One row: size, ensembles, whole; the means of members_error, error, reduction, all_wrong and sat; reduction_low,
    reduction_high, the 5th and 95th percentile of ensembles; error_least, the smallest error."""
    table = ensembles.table
    means = {name: table[name].mean() for name in ("members_error", "error", "reduction", "all_wrong", "sat")}
    spread = {f"reduction_{end}": table["reduction"].quantile(q) for end, q in (("low", 0.05), ("high", 0.95))}
    counts = {"size": ensembles.size, "ensembles": len(table), "whole": ensembles.whole}
    return pd.DataFrame([counts | means | spread | {"error_least": table["error"].min()}])


def by_clusters(ensembles: Ensembles, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per number of different clusters of the members: size, clusters, ensembles; the means of reduction,
    all_wrong, error and members_error; and 95 % intervals of the first two, _low and _high, over draws of models with
    fixed clusters, NaN for fewer than five ensembles."""
    table = ensembles.table.dropna()
    cells, measures = table["clusters"].to_numpy(), ["reduction", "all_wrong"]
    groups = table.groupby("clusters")
    means = groups[[*measures, "error", "members_error"]].mean()
    means.insert(0, "ensembles", groups.size())
    drawn = _drawn_means(ensembles, table, cells, measures, resamples, seed)
    low, high = (ends[means.index] for ends in percentile_interval(drawn))
    for column, measure in enumerate(measures):
        for end, bound in (("low", low), ("high", high)):
            means[f"{measure}_{end}"] = np.where(means["ensembles"] >= FEWEST, bound[:, column], np.nan)
    return means.reset_index().assign(size=ensembles.size)[["size", "clusters", *means.columns]]


def matched(ensembles: Ensembles, *, groups: int = 5, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The third of lowest and the third of highest mean SAT among ensembles with about the same members' error.

    One row for each of `groups` equal parts by members_error (fewer if a part has less than twelve), and a last row,
    group "all", with their mean: size, group, members_error_low and _high; ensembles, in both thirds;
    members_error_unlike and members_error_alike, which show the match; reduction_unlike and reduction_alike, the means;
    difference, unlike minus alike, with low and high, 95 % over draws of models with fixed parts.
    """
    table = ensembles.table.dropna()
    groups = max(1, min(groups, len(table) // 12))
    group = pd.qcut(table["members_error"].rank(method="first"), groups, labels=False)
    third = table["sat"].groupby(group).rank(method="first", pct=True)
    side = np.select([third <= 1 / 3, third > 2 / 3], [0, 1], -1)
    table, group, side = table[side >= 0], group[side >= 0].to_numpy(), side[side >= 0]
    rows = []
    for number in range(groups):
        part = table[group == number]
        two = part.groupby(side[group == number])[["members_error", "reduction"]].mean().reindex([0, 1])
        bounds = part["members_error"].min(), part["members_error"].max()
        rows.append((ensembles.size, str(number + 1), *bounds, len(part), *two["members_error"], *two["reduction"]))
    heads = ["size", "group", "members_error_low", "members_error_high", "ensembles"]
    heads += [f"{name}_{end}" for name in ("members_error", "reduction") for end in ("unlike", "alike")]
    result = pd.DataFrame(rows, columns=heads)
    total = result.drop(columns=["size", "group"]).mean().to_dict()
    total |= {"members_error_low": result["members_error_low"].min(), "ensembles": len(table)}
    total |= {"members_error_high": result["members_error_high"].max(), "size": ensembles.size, "group": "all"}
    result = pd.concat([result, pd.DataFrame([total])], ignore_index=True).astype({"ensembles": int})

    drawn = _drawn_means(ensembles, table, 2 * group + side, ["reduction"], resamples, seed, cells=2 * groups)[:, :, 0]
    differences = drawn[:, 0::2] - drawn[:, 1::2]
    low, high = percentile_interval(np.column_stack([differences, differences.mean(axis=1)]))
    return result.assign(difference=result["reduction_unlike"] - result["reduction_alike"], low=low, high=high)


def binned(ensembles: Ensembles, by: str = "sat", bins: int = 20, least: int = 20) -> pd.DataFrame:
    """One row for each of `bins` equal parts by a column of the table, fewer if a part has less than `least` ensembles:
    size; by, the column's name; value, its mean in the part, value_low, value_high; ensembles; the means of reduction,
    all_wrong and error; reduction_low and reduction_high, the 5th and 95th percentile of ensembles."""
    table = ensembles.table.dropna()
    part = pd.qcut(table[by].rank(method="first"), min(bins, max(1, len(table) // least)), labels=False)
    groups = table.groupby(part)
    result = groups[by].agg(value="mean", value_low="min", value_high="max", ensembles="size")
    result = result.join(groups[["reduction", "all_wrong", "error"]].mean())
    low, high = (groups["reduction"].quantile(q) for q in (0.05, 0.95))
    result = result.assign(reduction_low=low, reduction_high=high).reset_index(drop=True)
    result.insert(0, "size", ensembles.size)
    result.insert(1, "by", by)
    return result


def multiplicity(members: Members, models: int, rng: np.random.Generator) -> Array:
    """How often each ensemble occurs, [E], in one draw with replacement of all models."""
    times = np.bincount(rng.integers(0, models, models), minlength=models)
    return times[members].prod(axis=1).astype(np.float64)


def _drawn_means(
    ensembles: Ensembles,
    table: pd.DataFrame,
    cell: NDArray[np.integer],
    measures: list[str],
    resamples: int,
    seed: int,
    cells: int | None = None,
) -> Array:
    """The means of `measures` in each cell, int [E], in draws of models, [resamples, cells, measures]; NaN where a draw
    has none of a cell's ensembles. table: rows of `ensembles.table`, of which at most three times SAMPLE are used."""
    rng = np.random.default_rng([seed, ensembles.size])
    count = cells or int(cell.max(initial=0)) + 1
    members, measured = ensembles.members[table.index], table[measures].to_numpy()
    if len(cell) > 3 * SAMPLE:
        kept = rng.choice(len(cell), 3 * SAMPLE, replace=False, shuffle=False)
        members, cell, measured = members[kept], cell[kept], measured[kept]
    drawn = np.empty((resamples, count, len(measures)))
    for row in range(resamples):
        weights = multiplicity(members, ensembles.models, rng)
        size = np.bincount(cell, weights, minlength=count)
        for at, column in enumerate(measured.T):
            with np.errstate(invalid="ignore"):
                drawn[row, :, at] = np.bincount(cell, weights * column, minlength=count) / size
    return drawn
