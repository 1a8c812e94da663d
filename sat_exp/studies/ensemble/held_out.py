"""The error of chosen ensembles on images that were not used for the choice."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.studies.ensemble.contests import Contests, count_errors
from sat_exp.studies.ensemble.members import Array, Ensembles, pair_mean
from sat_exp.studies.ensemble.selection import STRATEGIES, Limits, similarities

RANDOM, SINGLE, BEST = "random", "best single model", "best possible"


def halves(images: int, splits: int, seed: int) -> NDArray[np.bool_]:
    """Random halves of the images to choose on, bool [splits, images]; the others are held out."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros((splits, images), bool)
    for row in chosen:
        row[rng.permutation(images)[: images // 2]] = True
    return chosen


def held_out(
    contests: Contests,
    right: NDArray[np.bool_],
    ensembles: Sequence[Ensembles],
    half: NDArray[np.bool_],
    sat: Array,
    costs: pd.DataFrame,
    limits: Limits,
) -> pd.DataFrame:
    """The choice of every strategy on one half of the images, and its error on the other half.

    right: bool [M, N]; ensembles: of each size, with their `error` on all images; half: bool [N], the images to choose
    on; sat: [M, M], from these images alone; costs: as for `Limits.allow`.

    One row per size and strategy: size, strategy, candidates, the number within the limits; models, their positions
    joined by spaces, "" for random; error and held_out, the ensemble's error on the two halves; held_out_members, the
    mean error of its members on the held-out half. Three more strategies for comparison: random, the mean over all
    candidates; best possible, the candidate with the least held-out error; and, as size 1, the best single model. A
    size has no rows if no candidate is within the limits on that half.
    """
    images = right.shape[1]
    here, there = (right[:, part].mean(axis=1) for part in (half, ~half))
    rows: list[tuple] = []
    if len(allowed := np.flatnonzero(limits.allow(np.arange(len(right))[:, None], here, costs))):
        best = allowed[here[allowed].argmax()]
        rows.append((1, SINGLE, len(allowed), str(best), 1 - here[best], 1 - there[best], 1 - there[best]))
    of_half, matrices = contests.subset(half), similarities(pd.DataFrame(sat), right[:, half])
    for same_size in ensembles:
        within = np.flatnonzero(limits.allow(same_size.members, here, costs))
        if not len(within):
            continue
        members = same_size.members[within]
        total = np.rint(same_size.table["error"].to_numpy()[within] * images)
        wrong = count_errors(of_half, members)
        error, held = wrong / half.sum(), (total - wrong) / (~half).sum()
        members_error, held_members = ((1 - accuracy)[members].mean(axis=1) for accuracy in (here, there))
        means = {name: pair_mean(matrix, members) for name, matrix in matrices.items()}
        candidates = pd.DataFrame({"error": error, "members_error": members_error, **means}).fillna(np.inf)
        chosen = {strategy: int(minimised(candidates).argmin()) for strategy, minimised in STRATEGIES.items()}
        for strategy, at in (chosen | {BEST: int(held.argmin())}).items():
            positions = " ".join(map(str, members[at]))
            rows.append((same_size.size, strategy, len(members), positions, error[at], held[at], held_members[at]))
        rows.append((same_size.size, RANDOM, len(members), "", error.mean(), held.mean(), held_members.mean()))
    columns = ["size", "strategy", "candidates", "models", "error", "held_out", "held_out_members"]
    return pd.DataFrame(rows, columns=columns)


def compared(splits: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The results of `held_out` over several splits, one row per size and strategy.

    size, strategy, splits, candidates (mean); error and held_out, means over splits; held_out_low and _high, the 5th
    and 95th percentile; reduction, 1 − held_out/held_out_members of the means; below_random and below_single, the mean
    held_out of a random ensemble of the size, and of the best single model, minus the strategy's; better_than_random,
    the share of splits with a lower error than random. Splits share images: their spread is not a standard error.
    """
    every = pd.concat([table.assign(split=number) for number, table in enumerate(splits)])
    random = every[every["strategy"] == RANDOM].set_index(["split", "size"])["held_out"]
    single = every[every["strategy"] == SINGLE].set_index("split")["held_out"]
    every["random"] = random.reindex(pd.MultiIndex.from_frame(every[["split", "size"]])).to_numpy()
    every["single"] = single.reindex(every["split"]).to_numpy()
    every["better"] = (every["held_out"] < every["random"]).astype(float).where(every["random"].notna())
    groups = every.groupby(["size", "strategy"], sort=False)
    mean = groups[["candidates", "error", "held_out", "held_out_members", "random", "single", "better"]].mean()
    result = mean[["candidates", "error", "held_out"]].assign(
        held_out_low=groups["held_out"].quantile(0.05),
        held_out_high=groups["held_out"].quantile(0.95),
        reduction=1 - mean["held_out"] / mean["held_out_members"],
        below_random=mean["random"] - mean["held_out"],
        below_single=mean["single"] - mean["held_out"],
        better_than_random=mean["better"],
    )
    result.insert(0, "splits", groups.size())
    return result.reset_index()
