"""The choice of an ensemble from a pool: strategies, limits, and the ensembles that each strategy recommends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.similarity.agreement import kappa
from sat_exp.similarity.intervals import wilson_interval
from sat_exp.statistics.hubs import without_hubs
from sat_exp.studies.ensemble.members import Array, Ensembles, Members

SIMILARITIES = ("sat", "sat_without_hubs", "error_consistency")


STRATEGIES: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    "validation error": lambda table: table["error"] + 1e-6 * table["members_error"],
    "accuracy": lambda table: table["members_error"],
    "low SAT": lambda table: table["sat"],
    "accuracy, low SAT": lambda table: table["members_error"].rank() + table["sat"].rank(),
    "accuracy, low SAT, no hubs": lambda table: table["members_error"].rank() + table["sat_without_hubs"].rank(),
    "accuracy, other errors": lambda table: table["members_error"].rank() + table["error_consistency"].rank(),
}
"""The quantity that each strategy minimises, from a table of candidates: error, members_error and the SIMILARITIES, all
from the images to choose on and infinite if unknown. The last three strategies add two ranks: of accuracy, and of SAT,
SAT without hubs or the consistency of the members' errors."""


def similarities(sat: pd.DataFrame, right: NDArray[np.bool_]) -> dict[str, Array]:
    """The SIMILARITIES of all pairs of models by name, float64 [M, M]: SAT, SAT without hubs, and κ, the
    consistency of two models' errors beyond chance (`agreement.kappa`). right: bool [M, N]."""
    correct, images = right.astype(np.float64), right.shape[1]
    both, accuracy = correct @ correct.T / images, right.mean(axis=1)
    first, second = accuracy[:, None] - both, accuracy[None, :] - both
    consistency, _ = kappa(both, first, second, 1 - both - first - second, images)
    matrices = sat.to_numpy(np.float64), without_hubs(sat).sat.to_numpy(np.float64), consistency
    return dict(zip(SIMILARITIES, matrices, strict=True))


@dataclass(frozen=True)
class Limits:
    """Limits on the members of an ensemble.

    accuracy: the least of each member. most: by the name of a cost (parameters, flops), the most of all members in sum.
    """

    accuracy: float | None = None
    most: Mapping[str, float] = field(default_factory=dict)

    def allow(self, members: Members, accuracy: Array, costs: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each ensemble, int [E, n], is within the limits, bool [E]; accuracy of each model, [M]; costs: one
        row per model, one column per cost."""
        within = np.ones(len(members), bool)
        if self.accuracy is not None:
            within &= (accuracy[members] >= self.accuracy).all(axis=1)
        for cost, most in self.most.items():
            within &= costs[cost].to_numpy()[members].sum(axis=1) <= most
        return within

    def allow_any(self, size: int, accuracy: Array, costs: pd.DataFrame) -> bool:
        """Whether some ensemble of `size` is within each of the limits."""
        models = costs if self.accuracy is None else costs[accuracy >= self.accuracy]
        cheapest = (np.sort(models[cost].to_numpy())[:size].sum() <= most for cost, most in self.most.items())
        return len(models) >= size and all(cheapest)


def recommended(
    ensembles: Sequence[Ensembles],
    right: NDArray[np.bool_],
    names: Sequence[str],
    costs: pd.DataFrame,
    limits: Limits,
    results: pd.DataFrame,
    *,
    places: int = 3,
) -> pd.DataFrame:
    """The `places` best ensembles of each size by each strategy, chosen on all images. results: see
    `held_out.compared`.

    size, strategy, place from 1; models, joined by " + "; error with Wilson's error_low and error_high, which are too
    low for a choice by validation error; members_error, reduction, sat; least_accuracy, of the worst member; each cost,
    of all members; held_out, the error on other images of an ensemble chosen by the strategy, from `results`.
    """
    accuracy, images = right.mean(axis=1), right.shape[1]
    expected = results.set_index(["size", "strategy"])["held_out"]
    rows = []
    for same_size in ensembles:
        within = np.flatnonzero(limits.allow(same_size.members, accuracy, costs))
        if not len(within):
            continue
        table, members = same_size.table.iloc[within], same_size.members[within]
        for strategy, minimised in STRATEGIES.items():
            order = np.argsort(minimised(table.fillna(np.inf)), kind="stable")
            for place, at in enumerate(order[:places], 1):
                row, chosen = table.iloc[at], members[at]
                low, high = wilson_interval(np.rint(row["error"] * images), images)
                rows.append(
                    {"size": same_size.size, "strategy": strategy, "place": place}
                    | {"models": " + ".join(names[member] for member in chosen)}
                    | {"error": row["error"], "error_low": float(low), "error_high": float(high)}
                    | {name: row[name] for name in ("members_error", "reduction", "sat")}
                    | {"least_accuracy": accuracy[chosen].min()}
                    | {cost: int(values.iloc[chosen].sum()) for cost, values in costs.items()}
                    | {"held_out": expected.get((same_size.size, strategy), np.nan)}
                )
    return pd.DataFrame(rows)
