"""Components of networks: the pairs of models that they describe, their association, and tests of each component.

p values come from permutations of models, intervals from draws of models. They are not corrected for their number.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import chi2_contingency
from scipy.stats.contingency import crosstab

from sat_exp.progress import progress
from sat_exp.statistics.hubs import known_pairs
from sat_exp.statistics.relations import model_permutation_p
from sat_exp.statistics.resampling import multiplicities, percentile_interval, permutation_p

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

ASSOCIATED = 0.5
"""Components whose mean Cramér's V is at least this form a group."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of distinct models whose SAT is known: positions of both models, and SAT, [P] each.

    codes: the value of each component of each model as a number, [M, C]. names: of the components.
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
        """For each component, [P, 1 + V]: the flag, and for each of its V values how many of the two models have it."""
        blocks = []
        for flag, column in zip(self.flags().T, self.codes.T, strict=True):
            has = np.eye(column.max() + 1)[column]
            blocks.append(np.column_stack([flag, has[self.first] + has[self.second]]))
        return blocks

    def drawn(self, times: int, rng: np.random.Generator) -> Array:
        """How often each pair occurs when the models are drawn with replacement, [times, P]."""
        models = len(self.codes)
        counts = multiplicities(models, times, rng).astype(np.float64)
        return counts[:, self.first] * counts[:, self.second]


def pair_up(sat: pd.DataFrame, components: pd.DataFrame) -> Pairs:
    """The known pairs of a matrix [M, M] with the models' components."""
    table = components.loc[list(sat.index)].astype(str)
    codes = np.column_stack([pd.factorize(column)[0] for _, column in table.items()])
    return Pairs(*known_pairs(sat), codes.astype(np.int64), [str(name) for name in table])


def ratio(above: ArrayLike, below: ArrayLike) -> Array:
    """above/below, NaN where `below` is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)


def association(pairs: Pairs) -> pd.DataFrame:
    """Cramér's V of every two components over the models, [C, C]; 0 for a component of one value.

    It is corrected for the V that independent components of many values have in few models (Bergsma, Journal of the
    Korean Statistical Society 42, 2013).
    """
    models = len(pairs.codes)
    found = np.eye(len(pairs.names))
    for one, other in zip(*np.triu_indices(len(found), 1), strict=True):
        counts = crosstab(pairs.codes[:, one], pairs.codes[:, other]).count
        rows, columns = counts.shape
        chance = (rows - 1) * (columns - 1) / (models - 1)
        excess = max(0.0, chi2_contingency(counts, correction=False).statistic / models - chance)
        least = min(size - (size - 1) ** 2 / (models - 1) for size in counts.shape) - 1
        found[one, other] = found[other, one] = min(1.0, np.sqrt(excess / least)) if least > 0 else 0
    return pd.DataFrame(found, index=pairs.names, columns=pairs.names)


def associated(association: pd.DataFrame) -> list[list[str]]:
    """The groups of two or more components whose mean V is at least `ASSOCIATED`, by average linkage."""
    if len(association) < 2:
        return []
    tree = linkage(squareform(1 - association.to_numpy(), checks=False), method="average")
    labels = fcluster(tree, 1 - ASSOCIATED + 1e-9, criterion="distance")
    groups = [list(association.index[labels == label]) for label in dict.fromkeys(labels)]
    return [group for group in groups if len(group) > 1]


def alone(pairs: Pairs, *, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """component, and the share of the variance of SAT that it explains alone, by its unordered pair of values (η²).

    chance is the mean of this share over `permutations` permutations of the models, p_alone its p value (Mantel, Cancer
    Research 27, 1967).
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
    """component, and its effect among pairs that are equal in all others: least squares of SAT on the flags.

    effect: the SAT of pairs with the same value minus that of pairs with different ones, with its percentile interval
    over `resamples` draws of models. p_given_others: see `model_permutation_p`. NaN where other flags determine a flag.
    """
    rng = np.random.default_rng([seed, 3])
    same = 1 - pairs.flags()
    design = np.column_stack([np.ones(len(same)), same])
    effects = _least_squares(design, pairs.sat, np.ones((1, len(design))))[0, 1:]
    low, high = percentile_interval(_least_squares(design, pairs.sat, pairs.drawn(resamples, rng))[:, 1:])
    p = []
    with progress("effects", same.shape[1]) as bar:
        for place, flag in enumerate(same.T):
            others = np.delete(same, place, axis=1)
            p.append(model_permutation_p(pairs.first, pairs.second, flag, pairs.sat, others, permutations, rng))
            bar(1)
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
