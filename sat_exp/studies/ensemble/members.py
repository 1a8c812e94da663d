"""The ensembles of one size: their members in lexicographic order, and a table of their errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.errors import UserError
from sat_exp.studies.ensemble.contests import MOST_MEMBERS

Array = NDArray[np.float64]
Members = NDArray[np.integer]


@dataclass(frozen=True)
class Ensembles:
    """All ensembles of one size, or a sample. members: int16 [E, size]; models: their number in the pool.

    table, one row per ensemble: size; error, the share of images that it gets wrong; members_error, the mean error of
    its members; reduction = 1 − error/members_error, NaN if no member errs; all_wrong, the share of images that all
    members get wrong; accuracy_gap, the best member's accuracy minus the worst's; sat and the other similarities, means
    over pairs of members; clusters, the number of different clusters of its members.
    """

    members: NDArray[np.int16]
    table: pd.DataFrame
    models: int

    @property
    def size(self) -> int:
        return self.members.shape[1]

    @property
    def whole(self) -> bool:
        """Whether these are all ensembles of the size."""
        return len(self.members) == comb(self.models, self.size)

    def sample(self, most: int, rng: np.random.Generator) -> "Ensembles":
        """At most `most` of them, drawn without replacement, in the same order."""
        rows = np.sort(rng.choice(len(self.members), min(most, len(self.members)), replace=False))
        return Ensembles(self.members[rows], self.table.iloc[rows].reset_index(drop=True), self.models)


def tabulate(
    members: NDArray[np.int16],
    counts: NDArray[np.int32],
    right: NDArray[np.bool_],
    similarities: Mapping[str, Array],
    clusters: NDArray[np.integer],
) -> Ensembles:
    """The ensembles of `members` with their table. counts: int32 [E, 2], from `count_errors` and `count_common_errors`;
    right: bool [M, N]; similarities: [M, M] by name; clusters: int [M]."""
    models, images = right.shape
    errors = (1 - right.mean(axis=1))[members]
    error, mean = counts[:, 0] / images, errors.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        reduction = np.where(mean > 0, 1 - error / mean, np.nan)
    columns = {"size": members.shape[1], "error": error, "members_error": mean, "reduction": reduction}
    columns |= {"all_wrong": counts[:, 1] / images, "accuracy_gap": np.ptp(errors, axis=1)}
    columns |= {name: pair_mean(matrix, members) for name, matrix in similarities.items()}
    return Ensembles(members, pd.DataFrame(columns | {"clusters": distinct(clusters, members)}), models)


def ranks(models: int, size: int, most: int | None = None, *, seed: int = 0) -> NDArray[np.int64]:
    """The lexicographic ranks of all ensembles of `size`, ascending; if there are more than `most`, a sample of that
    many, drawn with `seed` without replacement. UserError for a size below 2 or above `MOST_MEMBERS`."""
    if not 2 <= size <= MOST_MEMBERS:
        raise UserError(f"an ensemble of {size}: choose task.sizes from 2 to {MOST_MEMBERS}")
    count = comb(models, size)
    if most is None or count <= most:
        return np.arange(count)
    rng = np.random.default_rng([seed, models, size])
    return np.sort(rng.choice(count, most, replace=False, shuffle=False))


def members_of(models: int, size: int, ranks: NDArray[np.int64]) -> NDArray[np.int16]:
    """The members of the ensembles with these lexicographic ranks, int16 [E, size]."""
    remaining = comb(models, size) - 1 - ranks
    members = np.empty((len(ranks), size), np.int16)
    for position in range(size):
        ways = np.array([comb(others, size - position) for others in range(models)])
        others = np.searchsorted(ways, remaining, side="right") - 1
        members[:, position] = models - 1 - others
        remaining = remaining - ways[others]
    return members


def pair_mean(matrix: Array, members: Members) -> Array:
    """The mean of a symmetric matrix [M, M] over the pairs of members, [E]; up to rounding, the order of the members in
    a row does not matter."""
    pairs = list(combinations(members.T, 2))
    total = np.zeros(len(members))
    for one, other in pairs:
        total += matrix[one, other]
    return total / len(pairs)


def distinct(labels: NDArray[np.integer], members: Members) -> NDArray[np.int64]:
    """The number of different labels, [M], among the members of each ensemble, int64 [E]."""
    ordered = np.sort(labels[members], axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
