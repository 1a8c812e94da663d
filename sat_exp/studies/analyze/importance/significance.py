"""p values and effects of components, alone and with all others equal; not corrected for their number."""

import numpy as np
import pandas as pd

from sat_exp.statistics.relations import model_permutation_p
from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.studies.analyze.importance.pairs import Array, Codes, Pairs, ratio


def alone(pairs: Pairs, *, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """The share of the variance of SAT that each component explains alone, by its unordered pair of values.

    Columns: component; explained, the share of the variance between pairs of values (η², in the pairs themselves);
    chance, its mean over `permutations` permutations of the models; p_alone, its p value (Mantel, Cancer Research 27,
    1967).
    """
    rng = np.random.default_rng([seed, 2])
    centred = pairs.sat - pairs.sat.mean()
    cells = []
    for column in pairs.codes.T:
        one, other = np.triu_indices(column.max() + 1)
        cell = np.zeros((column.max() + 1,) * 2, dtype=np.int64)
        cell[one, other] = cell[other, one] = np.arange(one.size)
        cells.append(cell)

    def explained(codes: Codes) -> Array:
        shares = []
        for column, cell in zip(codes.T, cells, strict=True):
            at = cell[column[pairs.first], column[pairs.second]]
            sums, counts = np.bincount(at, centred), np.bincount(at)
            shares.append((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
        return ratio(shares, centred @ centred)

    observed = explained(pairs.codes)
    permuted = np.array([explained(pairs.codes[rng.permutation(pairs.models)]) for _ in range(permutations)])
    p = [permutation_p(value, others) for value, others in zip(observed, permuted.T, strict=True)]
    chance = permuted.mean(axis=0)
    return pd.DataFrame({"component": pairs.names, "explained": observed, "chance": chance, "p_alone": p})


def given_others(
    pairs: Pairs, *, resamples: int = 2000, permutations: int = 999, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The effect of each component among pairs that are equal in all others: least squares of SAT on the flags.

    Columns: component; effect, the SAT of pairs with the same value minus that of pairs with different values, with
    effect_low and effect_high, its percentile interval over `resamples` draws of models with replacement;
    p_given_others, two-sided, see `relations.model_permutation_p`. NaN where the other flags determine the flag.
    """
    rng = np.random.default_rng([seed, 3])
    design = np.column_stack([np.ones(len(pairs.sat)), 1 - pairs.flags()])
    effects = _least_squares(design, pairs.sat, np.ones((1, len(design))))[0, 1:]
    drawn = _least_squares(design, pairs.sat, pairs.drawn(resamples, rng))[:, 1:]
    low, high = percentile_interval(drawn, confidence)
    p = []
    for place in range(1, design.shape[1]):
        controls = np.delete(design, [0, place], axis=1)
        values = design[:, place], pairs.sat, controls
        p.append(model_permutation_p(pairs.first, pairs.second, *values, permutations, rng))
    columns = {"effect": effects, "effect_low": low, "effect_high": high, "p_given_others": p}
    return pd.DataFrame({"component": pairs.names} | columns)


def _least_squares(design: Array, values: Array, weights: Array) -> Array:
    """Coefficients [R, F] of weighted least squares for each row of weights [R, P]; NaN where not determined."""
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    square = (weights @ products).reshape(len(weights), design.shape[1], -1)
    inverse = np.linalg.pinv(square, rcond=1e-10, hermitian=True)
    found = (inverse @ (weights @ (design * values[:, None]))[:, :, None])[:, :, 0]
    determined = np.diagonal(inverse @ square, axis1=1, axis2=2) > 1 - 1e-6
    return np.where(determined, found, np.nan)
