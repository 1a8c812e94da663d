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

    def explained(codes: Codes) -> Array:
        shares = []
        for column in codes.T:
            a, b = column[pairs.first], column[pairs.second]
            of_values = np.minimum(a, b) * (column.max() + 1) + np.maximum(a, b)
            sums, counts = np.bincount(of_values, centred), np.bincount(of_values)
            shares.append((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
        return ratio(shares, centred @ centred)

    observed = explained(pairs.codes)
    permuted = np.array([explained(rng.permutation(pairs.codes)) for _ in range(permutations)])
    p = [permutation_p(value, others) for value, others in zip(observed, permuted.T, strict=True)]
    chance = permuted.mean(axis=0)
    return pd.DataFrame({"component": pairs.names, "explained": observed, "chance": chance, "p_alone": p})


def given_others(pairs: Pairs, *, resamples: int = 2000, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """The effect of each component among pairs that are equal in all others: least squares of SAT on the flags.

    Columns: component; effect, the SAT of pairs with the same value minus that of pairs with different values, with
    effect_low and effect_high, its percentile interval over `resamples` draws of models with replacement;
    p_given_others, two-sided, see `relations.model_permutation_p`. NaN where the other flags determine the flag.
    """
    rng = np.random.default_rng([seed, 3])
    same = 1 - pairs.flags()
    design = np.column_stack([np.ones(len(same)), same])
    effects = _least_squares(design, pairs.sat, np.ones((1, len(design))))[0, 1:]
    low, high = percentile_interval(_least_squares(design, pairs.sat, pairs.drawn(resamples, rng))[:, 1:])
    p = []
    for place, flag in enumerate(same.T):
        others = np.delete(same, place, axis=1)
        p.append(model_permutation_p(pairs.first, pairs.second, flag, pairs.sat, others, permutations, rng))
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
