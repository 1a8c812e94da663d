"""Effects of models on the values of their pairs, by least squares."""

import numpy as np
from numpy.typing import NDArray

from sat_exp.errors import UserError

Array = NDArray[np.float64]


def indicators(positions: NDArray[np.integer], models: int) -> Array:
    """1 where the column is the row's model, [P, M]."""
    return (positions[:, None] == np.arange(models)).astype(np.float64)


def contrasts(positions: NDArray[np.integer], models: int) -> Array:
    """The design of effects with sum 0, without the last model's, [P, M − 1]."""
    every = indicators(positions, models)
    return every[:, :-1] - every[:, -1:]


def solve(design: Array, values: Array, models: int) -> Array:
    """The least-squares coefficients [F] of values [P] on a design [P, F]; UserError where they are not determined."""
    if design.size and np.linalg.matrix_rank(design) == design.shape[1]:
        return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
    raise UserError(
        f"{len(values)} measured pairs or directions of {models} models do not determine the models' effects: measure "
        "every pair of at least three models, both ways"
    )


def explained(values: Array, residuals: Array) -> float:
    """1 − residual over total sum of squares; NaN where all values are equal."""
    return float(1 - (residuals**2).sum() / ((values - values.mean()) ** 2).sum()) if np.ptp(values) else np.nan
