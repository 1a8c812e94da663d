"""The tables of the study: the gain of ensembles, their calibration, and the choice among them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sat_exp.measurement import progress
from sat_exp.studies.ensemble import calibration, diversity, groups, held_out, selection
from sat_exp.studies.ensemble.contests import Contests
from sat_exp.studies.ensemble.members import Ensembles
from sat_exp.studies.ensemble.pool import Pool

NAMED = 100_000
"""The most ensembles of all sizes in the table `ensembles`."""

ENDS = 1000
"""The ensembles of a size with the most and with the least reduction that the table has in any case."""

CALIBRATED = 1500
"""The ensembles of a size whose calibration is measured, a seeded sample if there are more."""


def gains(
    ensembles: Sequence[Ensembles], pool: Pool, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables of the members, and of the gain of ensembles by the similarity of their members."""
    others = (pool.sat.sum() - np.diag(pool.sat)).to_numpy() / (len(pool.names) - 1)
    by_size: dict[str, list[pd.DataFrame]] = {}
    for same_size in ensembles:
        tables = {
            "ensemble_sizes": groups.summary(same_size),
            "ensembles": named(same_size, pool.names, NAMED // len(ensembles), seed),
            "ensembles_binned": pd.concat([groups.binned(same_size, by) for by in selection.SIMILARITIES]),
            "ensemble_relations": diversity.relation(
                same_size,
                pool.properties,
                ["reduction", "all_wrong"],
                predictors=(*selection.SIMILARITIES, "clusters"),
                resamples=resamples,
                permutations=permutations,
                seed=seed,
            ),
            "ensembles_matched": groups.matched(same_size, resamples=resamples, seed=seed),
            "ensembles_by_clusters": groups.by_clusters(same_size, resamples=resamples, seed=seed),
        }
        for name, table in tables.items():
            by_size.setdefault(name, []).append(table)
    of_model = {"model": pool.names, "accuracy": pool.accuracy, "cluster": pool.clusters}
    return {"members": pd.DataFrame({**of_model, **pool.costs, "sat_mean": others})} | {
        name: pd.concat(tables, ignore_index=True) for name, tables in by_size.items()
    }


def named(ensembles: Ensembles, names: Sequence[str], most: int, seed: int) -> pd.DataFrame:
    """The table with the members' names, largest reduction first: all ensembles, or the first and last `ENDS` and a
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


def calibrated(
    ensembles: Sequence[Ensembles], pool: Pool, average: str, resamples: int, permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables of the calibration of ensembles and of their members, and of its correlation with similarity."""
    rng = np.random.default_rng(seed)
    samples = [same_size.sample(CALIBRATED, rng) for same_size in ensembles]
    members: list[np.ndarray] = [np.arange(len(pool.names))[:, None], *(sample.members for sample in samples)]
    single, *tables = calibration.calibration(pool.blocks(), members, average)
    sizes, relations = [calibration.summary(single, 1)], []
    for sample, table in zip(samples, tables, strict=True):
        for name in ("nll", "ece"):
            sample.table[name] = table[name]
            sample.table[f"members_{name}"] = single[name].to_numpy()[sample.members].mean(axis=1)
        sample.table["nll_reduction"] = 1 - sample.table["nll"] / sample.table["members_nll"]
        sizes.append(calibration.summary(table.assign(**sample.table[["members_nll", "members_ece"]]), sample.size))
        relations.append(
            diversity.relation(
                sample,
                pool.properties,
                ["nll_reduction", "ece"],
                predictors=selection.SIMILARITIES,
                resamples=resamples,
                permutations=permutations,
                seed=seed,
            )
        )
    return {"calibration": pd.concat(sizes), "calibration_relations": pd.concat(relations, ignore_index=True)}


def selected(
    ensembles: Sequence[Ensembles],
    pool: Pool,
    contests: Contests,
    halves: np.ndarray,
    sat: np.ndarray,
    candidates: int,
    limits: selection.Limits,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """The tables of how strategies do on held-out images, and of the ensembles that they recommend. halves, sat: for
    each split the images to choose on, bool [N], and the SAT matrix of these alone, [M, M]."""
    rng = np.random.default_rng(seed)
    samples, splits = [same_size.sample(candidates, rng) for same_size in ensembles], []
    with progress("selection", len(halves)) as bar:
        for half, matrix in zip(halves, sat, strict=True):
            splits.append(held_out.held_out(contests, pool.right, samples, half, matrix, pool.costs, limits))
            bar(1)
    compared = held_out.compared(splits)
    best = selection.recommended(ensembles, pool.right, pool.names, pool.costs, limits, compared)
    return {"selection": compared, "recommended": best}
