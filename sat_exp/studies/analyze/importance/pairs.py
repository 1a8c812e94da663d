"""Pairs of models with their SAT and their components."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import GradientBoostingRegressor

from sat_exp.statistics.hubs import known_pairs

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """The pairs of distinct models whose SAT is known.

    first, second: the models' positions, int [P]. sat: float64 [P]. codes: the value of each component of each model as
    a number, int [M, C]. names: of the components.
    """

    first: Codes
    second: Codes
    sat: Array
    codes: Codes
    names: list[str]

    def flags(self) -> Array:
        """1 where the two models differ in the component, else 0; [P, C]."""
        return (self.codes[self.first] != self.codes[self.second]).astype(np.float64)

    def values(self) -> list[Array]:
        """For each component, [P, 1 + V]: the flag, and for each of its V values how many of the two models have it.

        These counts, 0 to 2, are one to one with the unordered pair of values.
        """
        blocks = []
        for flag, column in zip(self.flags().T, self.codes.T, strict=True):
            has = np.eye(column.max() + 1)[column]
            blocks.append(np.column_stack([flag, has[self.first] + has[self.second]]))
        return blocks

    def drawn(self, times: int, rng: np.random.Generator) -> Array:
        """How often each pair occurs when the models are drawn with replacement, [times, P]."""
        models = len(self.codes)
        counts = rng.multinomial(models, np.full(models, 1 / models), size=times).astype(np.float64)
        return counts[:, self.first] * counts[:, self.second]


def pair_up(sat: pd.DataFrame, components: pd.DataFrame) -> Pairs:
    """The known pairs of a matrix [M, M] with the models' components."""
    table = components.loc[list(sat.index)].astype(str)
    codes = np.column_stack([pd.factorize(column)[0] for _, column in table.items()])
    return Pairs(*known_pairs(sat), codes.astype(np.int64), [str(name) for name in table])


def regressor(seed: int, *, sampled: bool = False) -> GradientBoostingRegressor:
    """100 trees of depth 3. sampled: each split chooses among three tenths of the columns, which is as good where there
    are many of them, and faster."""
    return GradientBoostingRegressor(
        n_estimators=100, max_depth=3, max_features=0.3 if sampled else None, random_state=seed
    )


def ratio(above: ArrayLike, below: ArrayLike) -> Array:
    """above/below, NaN where `below` is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)
