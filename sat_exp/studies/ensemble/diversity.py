"""The gain of ensembles: means over groups of them, and its correlation with the similarity of their members.

Ensembles of one pool share members. Intervals therefore come from drawing models with replacement, and p values from
permuting models, as `sat_exp.statistics.relations` does for pairs; here for ensembles of any size.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.cores import in_threads
from sat_exp.ensembles.members import Array, Ensembles, Members
from sat_exp.ensembles.pool import SIMILARITIES, Pool
from sat_exp.progress import progress, waiting
from sat_exp.statistics.relations import basis_of
from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.statistics.weighted import partial_correlations, rank_covariances

CONTROLS = ["members_error", "accuracy_gap"]

NAMED = 100_000  # the most ensembles of all sizes in the table `ensembles`
ENDS = 1000  # of these, the number of a size with the most and with the least reduction
SAMPLE = 5_000
"""The most ensembles of a size for intervals and p values, a seeded sample if there are more: models are drawn, and
more ensembles of the same models add little."""

AT_ONCE = 2**17
"""The most ensembles, over all orders, that are worked on at once."""

FEWEST = 5  # ensembles for the interval of a mean
PARTS, LEAST_PER_PART = 5, 12
BINS, LEAST_PER_BIN = 20, 20


def gains(
    ensembles: Sequence[Ensembles], pool: Pool, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables of the members, and of the gain of ensembles by the similarity of their members."""
    drawing, most = {"resamples": resamples, "seed": seed}, NAMED // len(ensembles)
    gain, predictors, tests = ["reduction", "all_wrong"], [*SIMILARITIES, "clusters"], {"permutations": permutations}
    sat_mean = (pool.sat.sum() - np.diag(pool.sat)).to_numpy() / (len(pool.names) - 1)
    of_model = {"model": pool.names, "accuracy": pool.accuracy, "cluster": pool.clusters}
    parts = {
        "members": [pd.DataFrame({**of_model, **pool.costs, "sat_mean": sat_mean})],
        "ensemble_sizes": [summary(given) for given in ensembles],
        "ensembles": [named(given, pool.names, most, seed) for given in ensembles],
        "ensembles_binned": [binned(given, by) for given in ensembles for by in SIMILARITIES],
        "ensemble_relations": [relation(given, gain, predictors, **tests, **drawing) for given in ensembles],
    }
    with waiting("groups"):
        parts["ensembles_matched"] = [matched(given, **drawing) for given in ensembles]
        parts["ensembles_by_clusters"] = [by_clusters(given, **drawing) for given in ensembles]
    return {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}


def named(ensembles: Ensembles, names: Sequence[str], most: int, seed: int) -> pd.DataFrame:
    """The rows of the table `ensembles`, largest reduction first: all ensembles, or the first and last ENDS and a
    seeded sample of the others, as the column `kept` states."""
    table = ensembles.table.sort_values("reduction", ascending=False, kind="stable")
    if len(table) <= most:
        kept = table.assign(kept="all")
    else:
        rng, middle = np.random.default_rng([seed, ensembles.size]), table.iloc[ENDS:-ENDS]
        drawn = np.sort(rng.choice(len(middle), most - 2 * ENDS, replace=False))
        parts = {"most": table.head(ENDS), "sample": middle.iloc[drawn], "least": table.tail(ENDS)}
        kept = pd.concat([part.assign(kept=why) for why, part in parts.items()])
    rows = np.array(names, object)[ensembles.members[kept.index]]
    kept.insert(1, "models", [" + ".join(row) for row in rows])
    return kept


def summary(ensembles: Ensembles) -> pd.DataFrame:
    """The row of the table `ensemble_sizes`: means, and the 5th and 95th percentile of the reduction."""
    table = ensembles.table
    counts = {"size": ensembles.size, "ensembles": len(table), "whole": ensembles.whole}
    means = table[["members_error", "error", "reduction", "all_wrong", "sat"]].mean().to_dict()
    low, high = table["reduction"].quantile([0.05, 0.95])
    ends = {"reduction_low": low, "reduction_high": high, "error_least": table["error"].min()}
    return pd.DataFrame([counts | means | ends])


def by_clusters(ensembles: Ensembles, *, resamples: int, seed: int) -> pd.DataFrame:
    """The rows of the table `ensembles_by_clusters`, by the number of different clusters of the members: means, and 95
    % intervals over draws of models with fixed clusters, NaN for fewer than FEWEST ensembles."""
    table, measures = ensembles.table.dropna(), ["reduction", "all_wrong"]
    groups = table.groupby("clusters")
    means = groups[[*measures, "error", "members_error"]].mean()
    means.insert(0, "ensembles", groups.size())
    drawn = _drawn_means(ensembles, table[measures], groups.ngroup().to_numpy(), max(1, len(means)), resamples, seed)
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
    last row, group "all", with their mean. ensembles: in both thirds. difference: reduction_unlike minus
    reduction_alike, with 95% intervals over draws of models with fixed parts.
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
    drawn = _drawn_means(ensembles, table[["reduction"]], 2 * part + side, 2 * parts, resamples, seed)[:, :, 0]
    differences = drawn[:, 0::2] - drawn[:, 1::2]
    low, high = percentile_interval(np.column_stack([differences, differences.mean(axis=1)]))
    return result.assign(difference=result["reduction_unlike"] - result["reduction_alike"], low=low, high=high)


def binned(ensembles: Ensembles, by: str) -> pd.DataFrame:
    """The rows of the table `ensembles_binned`, one for each of BINS equal parts by the column `by`, fewer if a part
    would have less than LEAST_PER_BIN. value: mean, least and largest of `by`. reduction: 5th and 95th percentile."""
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


def _multiplicity(members: Members, models: int, rng: np.random.Generator) -> Array:
    """How often each ensemble occurs, [E], in one draw with replacement of all models."""
    times = np.bincount(rng.integers(0, models, models), minlength=models)
    return times[members].prod(axis=1).astype(np.float64)


def _drawn_means(
    ensembles: Ensembles, table: pd.DataFrame, cell: NDArray[np.integer], cells: int, resamples: int, seed: int
) -> Array:
    """The means of the columns of `table` in each cell in draws of models, [resamples, cells, columns]; NaN where a
    draw has none of a cell's ensembles. table: of ensembles, at most three times SAMPLE are used. cell: of each, [E].
    """
    rng = np.random.default_rng([seed, ensembles.size])
    members, measured = ensembles.members[table.index], table.to_numpy()
    if len(cell) > 3 * SAMPLE:
        kept = rng.choice(len(cell), 3 * SAMPLE, replace=False, shuffle=False)
        members, cell, measured = members[kept], cell[kept], measured[kept]
    drawn = np.empty((resamples, cells, measured.shape[1]))
    for row in range(resamples):
        weights = _multiplicity(members, ensembles.models, rng)
        size = np.bincount(cell, weights, minlength=cells)
        for at, column in enumerate(measured.T):
            with np.errstate(invalid="ignore"):
                drawn[row, :, at] = np.bincount(cell, weights * column, minlength=cells) / size
    return drawn


def relation(
    ensembles: Ensembles, measures: list[str], predictors: Sequence[str], resamples: int, permutations: int, seed: int
) -> pd.DataFrame:
    """The table `ensemble_relations` or `calibration_relations`: the rank correlation of `measures`, columns of the
    table, with `predictors`, properties, without and with the CONTROLS accounted for (`given`).

    The correlation is over all `ensembles`; interval and p are from `used` of them. In a draw of models with
    replacement, an ensemble counts as often as the product of its members' multiplicities. p is two-sided, over
    `permutations` of the models (Dekker, Krackhardt and Snijders, Psychometrika 72, 2007: double semi-partialing). NaN
    where one of the two is constant.
    """
    names = [*predictors, *CONTROLS, *measures]
    table = ensembles.table.dropna(subset=measures)[names]
    rng = np.random.default_rng([seed, ensembles.size])
    used = table.index.to_numpy()
    if len(used) > SAMPLE:
        used = np.sort(rng.choice(used, SAMPLE, replace=False, shuffle=False))
    members, sample, every = ensembles.members[used], table.loc[used].to_numpy(float), table.to_numpy(float)
    draws = resamples if len(used) else 0
    weights = np.array([_multiplicity(members, ensembles.models, rng) for _ in range(draws)]).reshape(draws, len(used))
    parts = [*rank_covariances(every, np.ones((1, len(every))))]
    with progress("draws", draws) as bar:
        for part in rank_covariances(sample, weights):
            parts.append(part)
            bar(len(part))
    covariances = np.concatenate(parts)
    orders: NDArray[np.int64] = np.array(
        [np.arange(ensembles.models), *(rng.permutation(ensembles.models) for _ in range(permutations))]
    )
    functions = [ensembles.properties[name] for name in (*predictors, *CONTROLS)]
    controls = [names.index(name) for name in CONTROLS]
    tests = [[names.index(one), *given] for one in predictors for given in ([], controls)]
    statistics = [_statistic(rankdata(sample, axis=0), test, len(measures)) for test in tests]

    def sizes_in(block: NDArray[np.int64]) -> Array:
        permuted = np.sort(block[:, members], axis=2).reshape(-1, ensembles.size)
        ranks = _places(sample, [values(permuted) for values in functions]).reshape(len(block), len(used), -1)
        return np.stack([statistic(ranks) for statistic in statistics], axis=1)

    found = []
    with progress("orders", len(orders)) as bar:
        for part in in_threads(sizes_in, np.array_split(orders, -(-len(orders) * max(1, len(used)) // AT_ONCE))):
            found.append(part)
            bar(len(part))
    sizes = np.concatenate(found)
    rows = []
    for (row, measure), (at, (predictor, *given)) in product(enumerate(measures), enumerate(tests)):
        chosen = [predictor, names.index(measure), *given]
        spearman, *drawn = partial_correlations(covariances[:, chosen][:, :, chosen])
        tested = names[predictor], " + ".join(names[control] for control in given), len(table), len(used)
        p = permutation_p(sizes[0, at, row], sizes[1:, at, row])
        rows.append((ensembles.size, measure, *tested, spearman, *map(float, percentile_interval(drawn)), p))
    heads = ["size", "measure", "with", "given", "ensembles", "used", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=heads)


def _places(columns: Array, moved: Sequence[NDArray]) -> Array:
    """The ranks of other values, K of [N], among those of the first K of `columns`, [E, K]; [N, K]."""
    places = []
    for column, values in zip(np.sort(columns, axis=0).T, moved, strict=False):
        places.append((np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right") + 1) / 2)
    return np.column_stack(places)


def _statistic(ranks: Array, test: Sequence[int], measures: int) -> Callable[[Array], Array]:
    """A function of the ranks of the properties of ensembles in R orders, [R, E, K]: the absolute partial correlation
    of a predictor with each measure, [R, measures], up to a factor that is the same for all orders. NaN if constant.

    ranks: of the ensembles themselves, [E, K + measures]. test: the predictor's column, then those of the controls.
    The predictor's residual, with coefficients from `ranks`, is permuted; its part in the controls is subtracted again.
    """
    controls, measured = ranks[:, test[1:]], ranks[:, -measures:]
    design = np.column_stack([np.ones(len(ranks)), controls])
    start, *slopes = np.linalg.lstsq(design, ranks[:, test[0]], rcond=None)[0]
    basis = basis_of(controls)
    rest = measured - basis @ (basis.T @ measured)
    constant = np.ptp(rest, axis=0) <= 1e-9 * len(ranks)

    def statistic(properties: Array) -> Array:
        residual = properties[:, :, test[0]] - start - properties[:, :, test[1:]] @ np.array(slopes)
        remainder = residual - (residual @ basis) @ basis.T
        length = np.linalg.norm(remainder, axis=1)
        unknown = (np.ptp(residual, axis=1) <= 1e-9 * len(ranks)) | (length == 0)
        sizes = np.abs(remainder @ rest) / np.where(unknown, 1, length)[:, None]
        return np.where(unknown[:, None] | constant, np.nan, sizes)

    return statistic
