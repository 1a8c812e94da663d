"""The correlation of the gain with facts that are known before distillation."""

import math
from functools import partial
from itertools import permutations as all_orders

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sat_exp.statistics.relations import basis_of, partial_correlation
from sat_exp.statistics.resampling import permutation_p
from sat_exp.studies.distill.gains import ACCURACY, KEYS, MEASURES, SIMILARITY, Array, Indices, by_base, interval


def relations(pairs: pd.DataFrame, *, resamples: int = 1000, permutations: int = 5040, seed: int = 0) -> pd.DataFrame:
    """The table `relations`: the rank correlation of the gain with SAT before distillation, and with the teacher's
    accuracy, in each group of `by_base`.

    One row for each of three choices of controls (given): none; the student, because students differ in level; and the
    other measure as well. The interval is from draws of students and of teachers; p: see `p_value`. NaN where
    undefined, as in a group of too few pairs.
    """
    rows = []
    for measure, other in ((SIMILARITY, ACCURACY), (ACCURACY, SIMILARITY)):
        for group, part in by_base(pairs.dropna(subset=["gain", *MEASURES])).items():
            for given, columns in (("", []), ("student", []), (f"student + {other}", [other])):
                levels = pd.get_dummies(part["student"]).to_numpy(np.float64) if given else np.empty((len(part), 0))
                table = np.column_stack([part[[measure, "gain", *columns]].to_numpy(np.float64), levels])
                counts = part["student"].nunique(), part["teacher"].nunique(), len(part)
                spearman, ends, p = partial_correlation(table), (np.nan, np.nan), np.nan
                if np.isfinite(spearman):
                    ends = interval(part, partial(_weighted_correlation, table), resamples, seed)
                    p = p_value(part, table, permutations, np.random.default_rng(seed))
                rows.append((measure, group, given, *counts, spearman, *ends, p))
    columns = ["measure", "group", "given", "students", "teachers", "pairs", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def p_value(pairs: pd.DataFrame, table: Array, permutations: int, rng: np.random.Generator) -> float:
    """The two-sided p value of the partial rank correlation of the first two columns of `table` [P, 2 + K] given the
    others, which must be defined.

    The residual of the first column on the others is permuted among the teachers, in the same way for all students: in
    all orders, or in `permutations` random ones, the identity included, if there are more. A missing pair counts as an
    average one.
    """
    student, teacher = (pd.factorize(pairs[key])[0] for key in KEYS)
    ranks = rankdata(table, axis=0)
    basis = basis_of(ranks[:, 2:])
    first, second = (ranks[:, column] - basis @ (basis.T @ ranks[:, column]) for column in (0, 1))
    number = teacher.max() + 1
    square = np.zeros((student.max() + 1, number))
    square[student, teacher] = first
    if math.factorial(number) <= permutations:
        orders = [np.array(order) for order in all_orders(range(number))]  # the identity first
    else:
        orders = [np.arange(number), *(rng.permutation(number) for _ in range(permutations - 1))]
    moved = np.array([square[student, order[teacher]] for order in orders])
    moved -= (moved @ basis) @ basis.T
    length = np.linalg.norm(moved, axis=1)
    sizes = np.abs(moved @ second) / np.where(length > 1e-9, length, 1)
    return permutation_p(sizes[0], sizes[1:])


def _weighted_correlation(table: Array, times: Indices) -> float:
    return partial_correlation(table.repeat(times, axis=0))
