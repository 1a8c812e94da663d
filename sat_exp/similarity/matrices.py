"""A SAT matrix with its standard errors, from a table of pairs or from a CSV file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from sat_exp.errors import UserError
from sat_exp.similarity import named_tables, scores

Array = NDArray[np.float64]

ROUNDING = 1e-4  # by how much a rounded value may be outside its range
PUBLISHED_ERROR, PUBLISHED_IMAGES, PUBLISHED_MEAN = 0.027, 5000, 2.665
"""The standard error of a typical pair of the published matrix, its number of images, and that pair's SAT."""


@dataclass(frozen=True)
class Matrix:
    """SAT of every pair of a pool with its standard errors, each float64 [M, M], symmetric, NaN where unknown. below,
    above: the standard errors downwards and upwards, the distances to the ends of the interval in units of the normal
    quantile."""

    name: str
    sat: pd.DataFrame
    below: pd.DataFrame
    above: pd.DataFrame

    @property
    def models(self) -> list[str]:
        return list(self.sat.index)

    @property
    def error(self) -> pd.DataFrame:
        """The standard error where its direction does not matter, [M, M]; see `similarity.standard_error`."""
        return ((self.below**2 + self.above**2) / 2) ** 0.5

    def renamed(self, aliases: Mapping[str, str]) -> "Matrix":
        """The same matrix with the names that `aliases` replaces; UserError where two models get one name."""
        names = [aliases.get(model, model) for model in self.models]
        for model, name in zip(self.models, names, strict=True):
            if names.count(name) > 1:
                raise UserError(f"{self.name} has {name} twice, once as {model}: leave one of them out")
        parts = (part.set_axis(names).set_axis(names, axis=1) for part in (self.sat, self.below, self.above))
        return Matrix(self.name, *parts)

    def subset(self, models: Sequence[str]) -> "Matrix":
        """The rows and columns of `models`, in their order."""
        return Matrix(self.name, *(part.loc[models, models] for part in (self.sat, self.below, self.above)))


def from_pairs(name: str, pairs: pd.DataFrame, confidence: float = 0.95) -> Matrix:
    """The matrix of a table of pairs; its standard errors come from the intervals, which have this `confidence`."""
    unit = ndtri((1 + confidence) / 2)
    below, above = (
        scores.matrix(pairs.assign(sat=(pairs["sat"] - pairs[end]).abs() / unit)) for end in ("sat_low", "sat_high")
    )
    return Matrix(name, scores.matrix(pairs), below, above)


def read(path: Path, images: int, floor: float = scores.SAT_FLOOR) -> Matrix:
    """A square CSV matrix whose first row and column name the models.

    `images`: how many each value is based on; `floor`: the least mean transfer rate, in percent. Rows and columns are
    matched by name, and an empty entry is taken from across the diagonal. UserError for any other content: the values
    must be SAT, so logarithms of percentages, and not all equal.
    """
    table = named_tables.read(path, "a square matrix of SAT")
    if "model_b" in table.columns:
        raise UserError(f"{path} is a table of pairs, not a square matrix: give the folder of its run")
    unpaired = [*table.index.symmetric_difference(table.columns)]
    if table.shape[0] != table.shape[1] or unpaired:
        rows, columns = table.shape
        hint = f"; {unpaired[0]} has not both a row and a column" if unpaired else ""
        raise UserError(f"{path} is not a square matrix of the same models: {rows} rows, {columns} columns{hint}")
    sat = named_tables.numbers(path, table)[list(table.index)]
    sat = sat.where(sat.notna(), sat.T)
    if not np.allclose(sat, sat.T, atol=1e-4, equal_nan=True):
        raise UserError(f"{path} is not symmetric: give SAT, not directed rates")
    _check_range(path, sat, floor)
    error = sampling_error(sat, images)
    return Matrix(path.stem, sat, error, error)


def sampling_error(sat: pd.DataFrame, images: int) -> pd.DataFrame:
    """The standard errors of SAT values, [M, M], from the number of images alone. SAT is the log of a rate p. By the
    delta method its error is proportional to √((1 − p)/(p·images)). The factor is such that a pair with the mean of the
    published matrix has its known error, 0.027 for 5,000 images."""
    most = 1 - 1 / (2 * images)  # a rate of 1 has an error too

    def odds(value: Array | float) -> Array:
        rate = np.clip(np.exp(value) / 100, 1 - most, most)
        return rate / (1 - rate)

    scale = PUBLISHED_ERROR * np.sqrt(PUBLISHED_IMAGES / images * odds(PUBLISHED_MEAN))
    return pd.DataFrame(scale / np.sqrt(odds(sat.to_numpy())), sat.index, sat.columns)


def _check_range(path: Path, sat: pd.DataFrame, floor: float) -> None:
    """UserError for values that are not SAT, and for a matrix with one value for all pairs."""
    values, low, high = sat.to_numpy(), math.log(floor), math.log(100)
    for row, column in np.argwhere((values < low - ROUNDING) | (values > high + ROUNDING)):
        value = f"{values[row, column]:g} at {sat.index[row]}, {sat.columns[column]}"
        raise UserError(f"{path} has {value}: SAT, the log of a percentage, is between {low:.3g} and {high:.3g}")
    for model in np.flatnonzero(np.diag(values) < 0):
        value = f"{values[model, model]:g} for {sat.index[model]} and itself"
        raise UserError(f"{path} has {value}: the attack must fool its own source; give SAT")
    between = values[np.triu_indices(len(values), 1)]
    between = between[np.isfinite(between)]
    if len(between) > 1 and np.ptp(between) == 0:
        raise UserError(f"{path} has {between[0]:g} for all pairs: give a measured matrix")
