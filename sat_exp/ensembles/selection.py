"""The choice of an ensemble from a pool: strategies, limits, the error of the chosen on other images, and the ensembles
to recommend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from sat_exp.ensembles.contests import Contests, count_errors
from sat_exp.ensembles.members import Array, Ensembles, Members, pair_mean
from sat_exp.ensembles.pool import STATED, Pool, similarities
from sat_exp.errors import UserError
from sat_exp.models import Candidate
from sat_exp.progress import progress, waiting
from sat_exp.similarity.intervals import wilson_interval

STRATEGIES: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    "validation error": lambda table: table["error"] + 1e-6 * table["members_error"],
    "accuracy": lambda table: table["members_error"],
    "low SAT": lambda table: table["sat"],
    "accuracy, low SAT": lambda table: table["members_error"].rank() + table["sat"].rank(),
    "accuracy, low SAT, no hubs": lambda table: table["members_error"].rank() + table["sat_without_hubs"].rank(),
    "accuracy, other errors": lambda table: table["members_error"].rank() + table["error_consistency"].rank(),
}
"""The quantity that each strategy minimises, from a table of candidates: error, members_error and the SIMILARITIES, all
from the images to choose on and infinite if unknown."""

MEASURED = ["candidates", "error", "held_out", "held_out_members"]
RANDOM, SINGLE, BEST = "random", "best single model", "best possible"
UNITS = {"parameters": " parameters", "flops": " multiply-adds", "latency": " s"}
PLACES = 3  # ensembles that each strategy recommends


@dataclass(frozen=True)
class Limits:
    """Limits on the members of an ensemble. accuracy: the least of each. most: of the sum of their costs, by name."""

    accuracy: float = 0.0
    most: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def stated(cls, accuracy: float | None, **most: float | None) -> "Limits":
        """The limits that are given; None for no limit."""
        return cls(accuracy or 0.0, {cost: limit for cost, limit in most.items() if limit is not None})

    def allow(self, members: Members, accuracy: Array, costs: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each ensemble, int [E, n], is within the limits, bool [E]. accuracy [M], costs: of each model."""
        within = accuracy[members].min(axis=1) >= self.accuracy
        for cost, most in self.most.items():
            within &= costs[cost].to_numpy()[members].sum(axis=1) <= most
        return within

    def allow_any(self, size: int, accuracy: Array, costs: pd.DataFrame) -> bool:
        """Whether some ensemble of `size` is within all limits together."""
        models = costs.loc[accuracy >= self.accuracy, list(self.most)]
        if len(models) < size or not self.most:
            return len(models) >= size
        shares = models.to_numpy(np.float64).T / np.array([*self.most.values()])[:, None]
        within = [LinearConstraint(np.ones(len(models)), size, size), LinearConstraint(shares, ub=1)]
        return milp(np.zeros(len(models)), integrality=1, bounds=Bounds(0, 1), constraints=within).x is not None

    def check(self, sizes: Sequence[int], candidates: Sequence[Candidate]) -> None:
        """UserError if no ensemble of one of `sizes` is within the limits that can be checked before a measurement."""
        known = {cost: STATED[cost] for cost in self.most if cost in STATED}
        costs = pd.DataFrame({cost: [of(candidate) for candidate in candidates] for cost, of in known.items()})
        if known:
            Limits(most={cost: self.most[cost] for cost in known}).sizes(sizes, np.ones(len(costs)), costs)

    def sizes(self, sizes: Sequence[int], accuracy: Array, costs: pd.DataFrame) -> list[int]:
        """Those of `sizes` that have an ensemble within the limits; UserError, with what is possible, if none has."""
        if allowed := [size for size in sizes if self.allow_any(size, accuracy, costs)]:
            return allowed
        settings = ["task.least_accuracy"] * (self.accuracy > 0) + [f"task.most_{cost}" for cost in self.most]
        fault = f"no ensemble of {' or '.join(map(str, sizes))} is within the limits"
        raise UserError(f"{fault}, {self.possible(min(sizes), accuracy, costs)}: give another {' or '.join(settings)}")

    def possible(self, size: int, accuracy: Array, costs: pd.DataFrame) -> str:
        """What the models can have, where no ensemble of `size` is within the limits."""
        models = costs[accuracy >= self.accuracy]
        if len(models) < size:
            return f"as {len(models)} of {len(costs)} models have an accuracy of {self.accuracy:g} or more"
        least = (f"{np.sort(models[cost])[:size].sum():.4g}{UNITS[cost]}" for cost in self.most)
        return f"as {size} models have at least {' and '.join(least)}" + ", each counted alone" * (len(self.most) > 1)


def halves(images: int, splits: int, seed: int) -> NDArray[np.bool_]:
    """Random halves of the images to choose on, bool [splits, images]; the others are held out."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros((splits, images), bool)
    for row in chosen:
        row[rng.permutation(images)[: images // 2]] = True
    return chosen


def selected(
    ensembles: Sequence[Ensembles],
    pool: Pool,
    contests: Contests,
    halves: np.ndarray,
    sat: np.ndarray,
    candidates: int,
    limits: Limits,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """The tables `selection` and `recommended`. halves, sat: for each split the images to choose on, bool [N], and the
    SAT matrix of these alone, [M, M]."""
    rng = np.random.default_rng(seed)
    samples, splits = [same_size.sample(candidates, rng) for same_size in ensembles], []
    with progress("selection", len(halves)) as bar:
        for half, matrix in zip(halves, sat, strict=True):
            splits.append(held_out(contests, pool, samples, half, matrix, limits))
            bar(1)
    with waiting("recommending"):
        results = compared(splits)
        return {"selection": results, "recommended": recommended(ensembles, pool, limits, results)}


def held_out(
    contests: Contests, pool: Pool, ensembles: Sequence[Ensembles], half: NDArray[np.bool_], sat: Array, limits: Limits
) -> pd.DataFrame:
    """The choice of every strategy on one half of the images, and its error on the other half: a row for each size and
    strategy, none for a size without an ensemble within the limits on the half.

    ensembles: the candidates of each size. half: bool [N], the images to choose on. sat: [M, M], from these images.

    models: positions joined by spaces, "" for random. candidates: the number within the limits. error, held_out: the
    ensemble's error on the two halves. held_out_members: the mean error of its members on the other half. For
    comparison: RANDOM, the mean over all candidates; BEST, that with the least held-out error; as size 1, SINGLE.
    """
    here, there = (pool.right[:, part].mean(axis=1) for part in (half, ~half))
    rows: list[tuple] = []
    if len(allowed := np.flatnonzero(limits.allow(np.arange(len(here))[:, None], here, pool.costs))):
        best = allowed[here[allowed].argmax()]
        rows.append((1, SINGLE, str(best), len(allowed), 1 - here[best], 1 - there[best], 1 - there[best]))
    of_half, matrices = contests.subset(half), similarities(pd.DataFrame(sat), pool.right[:, half])
    for same_size in ensembles:
        within = np.flatnonzero(limits.allow(same_size.members, here, pool.costs))
        if not len(within):
            continue
        members = same_size.members[within]
        total = np.rint(same_size.table["error"].to_numpy()[within] * len(half))
        wrong = count_errors(of_half, members)
        error, held = wrong / half.sum(), (total - wrong) / (~half).sum()
        members_error, held_members = ((1 - accuracy)[members].mean(axis=1) for accuracy in (here, there))
        means = {name: pair_mean(matrix, members) for name, matrix in matrices.items()}
        candidates = pd.DataFrame({"error": error, "members_error": members_error, **means}).fillna(np.inf)
        chosen = {strategy: int(minimised(candidates).argmin()) for strategy, minimised in STRATEGIES.items()}
        for strategy, at in (chosen | {BEST: int(held.argmin())}).items():
            positions = " ".join(map(str, members[at]))
            rows.append((same_size.size, strategy, positions, len(members), error[at], held[at], held_members[at]))
        rows.append((same_size.size, RANDOM, "", len(members), error.mean(), held.mean(), held_members.mean()))
    return pd.DataFrame(rows, columns=["size", "strategy", "models", *MEASURED])


def compared(splits: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The table `selection`: the means of `held_out` over splits.

    held_out_low, held_out_high: the 5th and 95th percentile; they are no standard error, as splits share images.
    reduction: 1 − held_out/held_out_members of the means. below_random, below_single: the mean held_out of a random
    ensemble of the size, and of the best single model, minus the strategy's. better_than_random: a share of the splits.
    """
    every = pd.concat(splits, keys=range(len(splits)), names=["split"]).reset_index("split")
    every = every.astype(dict.fromkeys(MEASURED, float) | {"size": int})  # objects, if a split has no row

    def error_of(strategy: str, same: list[str]) -> pd.Series:
        error = every["held_out"].where(every["strategy"] == strategy)
        return error.groupby([every[name] for name in same]).transform("max")

    every["random"], every["single"] = error_of(RANDOM, ["split", "size"]), error_of(SINGLE, ["split"])
    every["better"] = (every["held_out"] < every["random"]).astype(float).where(every["random"].notna())
    groups = every.groupby(["size", "strategy"], sort=False)
    mean = groups[[*MEASURED, "random", "single", "better"]].mean()
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


def recommended(ensembles: Sequence[Ensembles], pool: Pool, limits: Limits, results: pd.DataFrame) -> pd.DataFrame:
    """The table `recommended`: the best ensembles of each size by each strategy, chosen on all images. error_low,
    error_high: Wilson's, too low for a choice by validation error. least_accuracy: of the worst member. Costs: sums
    over the members. held_out: from `results`, see `compared`."""
    images, costs, parts = pool.right.shape[1], pool.costs.to_numpy(), []
    for same_size in ensembles:
        within = np.flatnonzero(limits.allow(same_size.members, pool.accuracy, pool.costs))
        table, members = same_size.table.iloc[within], same_size.members[within]
        for strategy, minimised in STRATEGIES.items():
            best = np.argsort(minimised(table.fillna(np.inf)), kind="stable")[:PLACES]
            part, chosen = table.iloc[best][["size", "error", "members_error", "reduction", "sat"]], members[best]
            part.insert(1, "strategy", strategy)
            part.insert(2, "place", np.arange(1, len(best) + 1))
            part.insert(3, "models", [" + ".join(pool.sat.index[row]) for row in chosen])
            low, high = wilson_interval(np.rint(part["error"].to_numpy() * images), images)
            part.insert(5, "error_low", low)
            part.insert(6, "error_high", high)
            part["least_accuracy"] = pool.accuracy[chosen].min(axis=1)
            part[pool.costs.columns] = costs[chosen].sum(axis=1)
            parts.append(part)
    expected = results[["size", "strategy", "held_out"]]
    return pd.concat(parts, ignore_index=True).merge(expected, on=["size", "strategy"], how="left")
