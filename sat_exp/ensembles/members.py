"""The ensembles of one size: their members in lexicographic order, and a table of their errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Members = NDArray[np.integer]

Property = Callable[[Members], NDArray]
"""A number for each ensemble that follows from its members alone: positions int [E, n], ascending in each row → [E]."""


@dataclass(frozen=True)
class Ensembles:
    """All ensembles of one size, or a sample. members: positions in a pool of `models`, int16 [E, size]. table: one row
    per ensemble, see `tabulate`. properties: the columns that follow from the members alone, as functions."""

    members: NDArray[np.int16]
    table: pd.DataFrame
    models: int
    properties: Mapping[str, Property]

    @property
    def size(self) -> int:
        return self.members.shape[1]

    @property
    def whole(self) -> bool:
        return len(self.members) == comb(self.models, self.size)

    def sample(self, most: int, rng: np.random.Generator) -> "Ensembles":
        """At most `most` of them, drawn without replacement, in the same order."""
        rows = np.sort(rng.choice(len(self.members), min(most, len(self.members)), replace=False))
        table = self.table.iloc[rows].reset_index(drop=True)
        return Ensembles(self.members[rows], table, self.models, self.properties)


def tabulate(
    members: NDArray[np.int16], counts: NDArray[np.int32], right: NDArray[np.bool_], properties: Mapping[str, Property]
) -> Ensembles:
    """The ensembles of `members` with their table: size, error, all_wrong, the `properties`, and reduction = 1 −
    error/members_error, NaN if no member errs. counts: int32 [E, 2], of the images that an ensemble gets wrong, and
    that all its members get wrong. right: bool [M, N]."""
    models, images = right.shape
    known = {name: values(members) for name, values in properties.items()}
    error, mean = counts[:, 0] / images, known["members_error"]
    columns = {"size": members.shape[1], "error": error, "members_error": mean}
    columns |= {"reduction": 1 - error / np.where(mean > 0, mean, np.nan), "all_wrong": counts[:, 1] / images}
    return Ensembles(members, pd.DataFrame(columns | known), models, properties)


def properties_of(
    errors: Array, similarities: Mapping[str, Array], clusters: NDArray[np.integer]
) -> dict[str, Property]:
    """The properties of ensembles by name: members_error, their mean; accuracy_gap, between the best and the worst
    member; the mean of each of `similarities`, [M, M], over pairs of members; clusters, the number of different ones.
    errors, clusters: of each model, [M]."""
    return {
        "members_error": lambda members: errors[members].mean(axis=1),
        "accuracy_gap": lambda members: np.ptp(errors[members], axis=1),
        **{name: partial(pair_mean, matrix) for name, matrix in similarities.items()},
        "clusters": lambda members: 1 + (np.diff(np.sort(clusters[members], axis=1)) > 0).sum(axis=1),
    }


def ranks(models: int, size: int, most: int | None = None, *, seed: int = 0) -> NDArray[np.int64]:
    """The lexicographic ranks of all ensembles of `size`, ascending; if they are more than `most`, of a sample."""
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
    """The mean of a symmetric matrix [M, M] over the pairs of members, [E]."""
    pairs = list(combinations(members.T, 2))
    return sum((matrix[one, other] for one, other in pairs), np.zeros(len(members))) / len(pairs)
