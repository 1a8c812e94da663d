"""Which ensemble to build from a pool: ways to choose one, and how well each does on images it has not seen.

Choosing by similarity and accuracy asks only for numbers of models and pairs; choosing by validation error asks for
every ensemble's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.similarity.agreement import kappa
from sat_exp.similarity.intervals import wilson_interval
from sat_exp.studies.analyze.structure import without_hubs
from sat_exp.studies.ensemble.ensembles import Contests, Ensembles, pair_mean, wrong

Array = NDArray[np.float64]

RANDOM, SINGLE, BEST = "random", "best single model", "best possible"


@dataclass(frozen=True)
class Known:
    """What is known of candidates when one has to be chosen, [E] each: the share of the choosing images that the
    ensemble gets wrong, the mean of its members' shares, and on those images the means over pairs of members of SAT, of
    SAT without hubs and of error consistency; infinite where a pair has none."""

    error: Array
    members_error: Array
    sat: Array
    sat_without_hubs: Array
    error_consistency: Array


STRATEGIES: Mapping[str, Callable[[Known], Array]] = {
    "validation error": lambda known: known.error + 1e-6 * known.members_error,
    "accuracy": lambda known: known.members_error,
    "low SAT": lambda known: known.sat,
    "accuracy, low SAT": lambda known: rankdata(known.members_error) + rankdata(known.sat),
    "accuracy, low SAT, no hubs": lambda known: rankdata(known.members_error) + rankdata(known.sat_without_hubs),
    "accuracy, other errors": lambda known: rankdata(known.members_error) + rankdata(known.error_consistency),
}
"""Each gives what is to be least, [E]. validation error: the ensemble's own, of several the one with the best members.
accuracy: the most accurate members. low SAT: the least similar members. The others: the least sum of two ranks, of
accuracy and of SAT, of SAT without hubs, or of the consistency of the members' errors."""

SIMILARITIES = ("sat", "sat_without_hubs", "error_consistency")


def similarities(sat: pd.DataFrame, right: NDArray[np.bool_]) -> dict[str, Array]:
    """SIMILARITIES by name, float64 [M, M]: SAT; what is left of it without hubs (`structure.without_hubs`); and κ, how
    far two models err on the same images beyond chance (`agreement.kappa`), from who is right, bool [M, N]."""
    known, images = right.astype(np.float64), right.shape[1]
    both, each = known @ known.T / images, right.mean(axis=1)
    first, second = each[:, None] - both, each[None, :] - both
    consistency, _ = kappa(both, first, second, 1 - both - first - second, images)
    matrices = sat.to_numpy(np.float64), without_hubs(sat).sat.to_numpy(np.float64), consistency
    return dict(zip(SIMILARITIES, matrices, strict=True))


@dataclass(frozen=True)
class Limits:
    """What an ensemble may be made of: accuracy, the least of each member, a share; most, by the name of a cost such as
    parameters or flops, the most of all its members together."""

    accuracy: float | None = None
    most: Mapping[str, float] = field(default_factory=dict)

    def allow(self, members: NDArray[np.integer], accuracy: Array, costs: pd.DataFrame) -> NDArray[np.bool_]:
        """Which ensembles, int [E, n], stay within the limits, bool [E]; accuracy of each model, [M]; costs: a
        row a model, a column a cost."""
        within = np.ones(len(members), bool)
        if self.accuracy is not None:
            within &= (accuracy[members] >= self.accuracy).all(axis=1)
        for cost, most in self.most.items():
            within &= costs[cost].to_numpy()[members].sum(axis=1) <= most
        return within

    def leave(self, size: int, accuracy: Array, costs: pd.DataFrame) -> bool:
        """Whether any ensemble of `size` stays within each of the limits."""
        models = costs if self.accuracy is None else costs[accuracy >= self.accuracy]
        cheapest = (np.sort(models[cost].to_numpy())[:size].sum() <= most for cost, most in self.most.items())
        return len(models) >= size and all(cheapest)


def halves(images: int, splits: int, seed: int) -> NDArray[np.bool_]:
    """`splits` random halves of the images to choose on, bool [splits, images]; the others are held out."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros((splits, images), bool)
    for row in chosen:
        row[rng.permutation(images)[: images // 2]] = True
    return chosen


def held_out(
    found: Contests,
    right: NDArray[np.bool_],
    candidates: Sequence[Ensembles],
    chosen: NDArray[np.bool_],
    sat: Iterable[Array],
    costs: pd.DataFrame,
    limits: Limits,
) -> Iterator[pd.DataFrame]:
    """For each split, what every strategy chooses on one half of the images, and how that does on the other.

    right: bool [M, N]; candidates: ensembles of each size, their `error` known on all images; chosen: bool [S, N] (see
    `halves`); sat: for each split the matrix [M, M] of its choosing half alone; costs: as `Limits.allow` takes them.

    A table a split, a row each size and strategy: size, strategy, candidates, how many are within the limits;
    models, int positions joined by spaces, "" for random; error and held_out, the ensemble's on the two halves;
    held_out_members, the mean of its members' there. Beside the STRATEGIES: random, the mean over all candidates; best
    possible, the one that turns out best on the held-out half, which nobody can know; and, as size 1, the best single
    model. A size of which the limits, on that half, leave nothing has no rows.
    """
    images = right.shape[1]
    for half, matrix in zip(chosen, sat, strict=True):
        here, there = (right[:, part].mean(axis=1) for part in (half, ~half))
        rows: list[tuple] = []
        alone = np.arange(len(right))[:, None]
        if len(allowed := np.flatnonzero(limits.allow(alone, here, costs))):
            best = allowed[here[allowed].argmax()]
            rows.append((1, SINGLE, len(allowed), str(best), 1 - here[best], 1 - there[best], 1 - there[best]))
        contests, matrices = found.on(half), similarities(pd.DataFrame(matrix), right[:, half])
        for of in candidates:
            within = np.flatnonzero(limits.allow(of.members, here, costs))
            if not len(within):
                continue
            members = of.members[within]
            total = np.rint(of.table["error"].to_numpy()[within] * images)
            lost = wrong(contests, members)
            error, held = lost / half.sum(), (total - lost) / (~half).sum()
            members_error, held_members = ((1 - of_all)[members].mean(axis=1) for of_all in (here, there))
            known = Known(error, members_error, *pair_means(matrices, members))
            picked = {name: int(worth(known).argmin()) for name, worth in STRATEGIES.items()}
            for name, at in (picked | {BEST: int(held.argmin())}).items():
                names = " ".join(map(str, members[at]))
                rows.append((of.size, name, len(members), names, error[at], held[at], held_members[at]))
            rows.append((of.size, RANDOM, len(members), "", error.mean(), held.mean(), held_members.mean()))
        columns = ["size", "strategy", "candidates", "models", "error", "held_out", "held_out_members"]
        yield pd.DataFrame(rows, columns=columns)


def pair_means(matrices: Mapping[str, Array], members: NDArray[np.integer]) -> list[Array]:
    return [np.nan_to_num(pair_mean(matrices[name], members), nan=np.inf) for name in SIMILARITIES]


def compared(splits: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """How the strategies did over the splits of `held_out`, a row each size and strategy.

    size, strategy, splits, candidates (mean); error and held_out, means over splits, held_out_low and _high, the 5th
    and 95th percentile; reduction, 1 − held_out/held_out_members of the means; below_random and below_single, by how
    much held_out is less than that of a random ensemble of the size, and of the best single model, in the mean;
    better_than_random: the share of splits in which it is. Splits share images: their spread is not a standard error.
    """
    every = pd.concat([table.assign(split=number) for number, table in enumerate(splits)])
    random = every[every["strategy"] == RANDOM].set_index(["split", "size"])["held_out"]
    single = every[every["strategy"] == SINGLE].set_index("split")["held_out"]
    every["random"] = random.reindex(pd.MultiIndex.from_frame(every[["split", "size"]])).to_numpy()
    every["single"] = single.reindex(every["split"]).to_numpy()
    every["better"] = (every["held_out"] < every["random"]).astype(float).where(every["random"].notna())
    of = every.groupby(["size", "strategy"], sort=False)
    mean = of[["candidates", "error", "held_out", "held_out_members", "random", "single", "better"]].mean()
    return pd.DataFrame(
        {
            "splits": of.size(),
            "candidates": mean["candidates"],
            "error": mean["error"],
            "held_out": mean["held_out"],
            "held_out_low": of["held_out"].quantile(0.05),
            "held_out_high": of["held_out"].quantile(0.95),
            "reduction": 1 - mean["held_out"] / mean["held_out_members"],
            "below_random": mean["random"] - mean["held_out"],
            "below_single": mean["single"] - mean["held_out"],
            "better_than_random": mean["better"],
        }
    ).reset_index()


def recommended(
    candidates: Sequence[Ensembles],
    right: NDArray[np.bool_],
    matrices: Mapping[str, Array],
    names: Sequence[str],
    costs: pd.DataFrame,
    limits: Limits,
    results: pd.DataFrame,
    *,
    places: int = 3,
) -> pd.DataFrame:
    """The `places` best ensembles of each size by each of STRATEGIES, chosen on all images; matrices: `similarities`.

    size, strategy, place from 1; models, joined by " + "; error with Wilson's error_low and error_high, which of those
    chosen by validation error is too low, as they were chosen by it; members_error, reduction, sat; least_accuracy, of
    the worst member; each cost, of all members; held_out, what the strategy's choice came to on images not seen, in
    `results`, of `compared`.
    """
    accuracy, images = right.mean(axis=1), right.shape[1]
    expected = results.set_index(["size", "strategy"])["held_out"]
    rows = []
    for of in candidates:
        within = np.flatnonzero(limits.allow(of.members, accuracy, costs))
        if not len(within):
            continue
        table, members = of.table.iloc[within], of.members[within]
        errors = table["error"].to_numpy(), table["members_error"].to_numpy()
        known = Known(*errors, *pair_means(matrices, members))
        for strategy, worth in STRATEGIES.items():
            for place, at in enumerate(np.argsort(worth(known), kind="stable")[:places], 1):
                row, of_members = table.iloc[at], members[at]
                low, high = wilson_interval(np.rint(row["error"] * images), images)
                rows.append(
                    {"size": of.size, "strategy": strategy, "place": place}
                    | {"models": " + ".join(names[member] for member in of_members)}
                    | {"error": row["error"], "error_low": float(low), "error_high": float(high)}
                    | {name: row[name] for name in ("members_error", "reduction", "sat")}
                    | {"least_accuracy": accuracy[of_members].min()}
                    | {cost: int(of_each.iloc[of_members].sum()) for cost, of_each in costs.items()}
                    | {"held_out": expected.get((of.size, strategy), np.nan)}
                )
    return pd.DataFrame(rows)
