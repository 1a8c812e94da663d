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

PARTS = 5
LEAST_PER_PART = 12

BINS = 20
LEAST_PER_BIN = 20


def summary(ensembles: Ensembles) -> pd.DataFrame:
    """The row of the table `ensemble_sizes`: means over the ensembles, error_least, the smallest error, and the 5th and
    95th percentile of the reduction."""
    table = ensembles.table
    means = {name: table[name].mean() for name in ("members_error", "error", "reduction", "all_wrong", "sat")}
    low, high = table["reduction"].quantile([0.05, 0.95])
    counts = {"size": ensembles.size, "ensembles": len(table), "whole": ensembles.whole}
    ends = {"reduction_low": low, "reduction_high": high, "error_least": table["error"].min()}
    return pd.DataFrame([counts | means | ends])


def by_clusters(ensembles: Ensembles, *, resamples: int, seed: int) -> pd.DataFrame:
    """The rows of the table `ensembles_by_clusters`, one per number of different clusters of the members: means, and 95
    % intervals over draws of models with fixed clusters, NaN for fewer than FEWEST ensembles."""
    table, measures = ensembles.table.dropna(), ["reduction", "all_wrong"]
    groups = table.groupby("clusters")
    means = groups[[*measures, "error", "members_error"]].mean()
    means.insert(0, "ensembles", groups.size())
    drawn = _drawn_means(ensembles, table, groups.ngroup().to_numpy(), max(1, len(means)), measures, resamples, seed)
    ends = np.where(means["ensembles"].to_numpy()[:, None] >= FEWEST, percentile_interval(drawn), np.nan)
    for at, measure in enumerate(measures):
        means[f"{measure}_low"], means[f"{measure}_high"] = ends[:, :, at]
    means = means.reset_index()
    means.insert(0, "size", ensembles.size)
    return means


def matched(ensembles: Ensembles, *, resamples: int, seed: int) -> pd.DataFrame:
    """The rows of the table `ensembles_matched`: among ensembles with about the same members' error, the third with the
    lowest mean SAT (unlike) against the third with the highest (alike).

    One row for each of PARTS equal parts by members_error, fewer if a part would have less than LEAST_PER_PART, and a
    last row, group "all", with their mean. ensembles: in both thirds. members_error_unlike and members_error_alike show
    the match. difference: reduction_unlike minus reduction_alike, with 95 % over draws of models with fixed parts.
    """
    table = ensembles.table.dropna()
    parts = max(1, min(PARTS, len(table) // LEAST_PER_PART))
    part = pd.qcut(table["members_error"].rank(method="first"), parts, labels=False)
    third = table["sat"].groupby(part).rank(method="first", pct=True)
    side = np.select([third <= 1 / 3, third > 2 / 3], [0, 1], -1)
    table, part, side = table[side >= 0], part[side >= 0].to_numpy(), side[side >= 0]
    errors, measures = table["members_error"].groupby(part), ["members_error", "reduction"]
    rows = errors.agg(members_error_low="min", members_error_high="max", ensembles="size").reindex(range(parts))
    means = table.groupby([part, side])[measures].mean().unstack()
    means = means.reindex(columns=[(measure, number) for measure in measures for number in (0, 1)])
    rows[[f"{measure}_{end}" for measure in measures for end in ("unlike", "alike")]] = means
    whole = rows.mean().to_dict() | {"ensembles": len(table)}
    whole |= {"members_error_low": table["members_error"].min(), "members_error_high": table["members_error"].max()}
    result = pd.concat([rows, pd.DataFrame([whole])], ignore_index=True)
    result = result.fillna({"ensembles": 0}).astype({"ensembles": int})
    result.insert(0, "size", ensembles.size)
    result.insert(1, "group", [*map(str, range(1, parts + 1)), "all"])
    drawn = _drawn_means(ensembles, table, 2 * part + side, 2 * parts, ["reduction"], resamples, seed)[:, :, 0]
    differences = drawn[:, 0::2] - drawn[:, 1::2]
    low, high = percentile_interval(np.column_stack([differences, differences.mean(axis=1)]))
    return result.assign(difference=result["reduction_unlike"] - result["reduction_alike"], low=low, high=high)


def binned(ensembles: Ensembles, by: str) -> pd.DataFrame:
    """The rows of the table `ensembles_binned`, one for each of BINS equal parts by a column of the table, fewer if a
    part would have less than LEAST_PER_BIN: value, the mean of the column, with its least and largest; means, and the
    5th and 95th percentile of the reduction."""
    table = ensembles.table.dropna()
    bins = min(BINS, max(1, len(table) // LEAST_PER_BIN))
    groups = table.groupby(pd.qcut(table[by].rank(method="first"), bins, labels=False))
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
    cells: int,
    measures: list[str],
    resamples: int,
    seed: int,
) -> Array:
    """The means of `measures` in each cell, int [E], in draws of models, [resamples, cells, measures]; NaN where a draw
    has none of a cell's ensembles. table: rows of `ensembles.table`, of which at most three times SAMPLE are used."""
    rng = np.random.default_rng([seed, ensembles.size])
    members, measured = ensembles.members[table.index], table[measures].to_numpy()
    if len(cell) > 3 * SAMPLE:
        kept = rng.choice(len(cell), 3 * SAMPLE, replace=False, shuffle=False)
        members, cell, measured = members[kept], cell[kept], measured[kept]
    drawn = np.empty((resamples, cells, len(measures)))
    for row in range(resamples):
        weights = multiplicity(members, ensembles.models, rng)
        size = np.bincount(cell, weights, minlength=cells)
        for at, column in enumerate(measured.T):
            with np.errstate(invalid="ignore"):
                drawn[row, :, at] = np.bincount(cell, weights * column, minlength=cells) / size
    return drawn
