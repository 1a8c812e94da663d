"""The gain of students from teachers, the change of their similarity, and the relation of the two.

Students share teachers and teachers share students. Intervals therefore come from drawing both with replacement.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import permutations as all_orders

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat_exp.statistics.relations import basis_of, partial_correlation
from sat_exp.statistics.resampling import percentile_interval, permutation_p

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

KEYS = ["student", "teacher"]
SIMILARITY, ACCURACY = MEASURES = ["sat_before", "teacher_accuracy"]
CHANGED = ["gain", "sat_change", "change_with_others", "beyond_others"]
AVERAGED = ["accuracy", "baseline", "sat_before", "sat_after", *CHANGED]
OF_BOTH = [ACCURACY, "student_base", "teacher_base", "same_base"]
ALL, SAME, OTHER = "all", "same base architecture", "other base architecture"


def known_before(trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame) -> pd.DataFrame:
    """The table `before`, from the students trained alone. Arguments as for `gains`."""
    alone = trainings[trainings["teacher"] == ""].drop(columns="teacher").rename(columns={"accuracy": "baseline"})
    known = alone.merge(_sat(pairs), on="network").merge(teachers, on="teacher")
    return known.rename(columns={"sat": SIMILARITY})[[*KEYS, "seed", "baseline", *MEASURES]]


def gains(
    trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame, bases: Mapping[str, str]
) -> pd.DataFrame:
    """The table `gains`: the distilled students whose baseline and similarities are known.

    baseline: the accuracy of the same student and seed without a teacher. sat_before, sat_after: the SAT of the
    baseline and of the distilled student with the teacher. change_with_others: the mean change of the SAT with the
    other teachers. trainings, pairs, teachers: the tables `trainings`, `similarity` and `teachers`. bases: the base
    architectures of networks and teachers by name.
    """
    before = known_before(trainings, pairs, teachers)
    distilled = trainings[trainings["teacher"] != ""].rename(columns={"teacher": "own"})
    changed = distilled.merge(_sat(pairs), on="network").merge(before, on=[*KEYS, "seed"])
    changed["sat_change"] = changed["sat"] - changed["sat_before"]
    own = changed["teacher"] == changed["own"]
    with_others = changed[~own].groupby("network")["sat_change"].mean()
    table = changed[own].reset_index(drop=True).rename(columns={"sat": "sat_after"})
    table["gain"] = table["accuracy"] - table["baseline"]
    table["change_with_others"] = table["network"].map(with_others).astype(np.float64)
    table["beyond_others"] = table["sat_change"] - table["change_with_others"]
    table["student_base"], table["teacher_base"] = table["network"].map(bases), table["teacher"].map(bases)
    table["same_base"] = table["student_base"] == table["teacher_base"]
    return table[[*KEYS, "seed", *AVERAGED, *OF_BOTH]]


def _sat(pairs: pd.DataFrame) -> pd.DataFrame:
    """network, teacher, sat: each pair in both orders."""
    one = pairs[["model_a", "model_b", "sat"]].set_axis(["network", "teacher", "sat"], axis=1)
    other = one.rename(columns={"network": "teacher", "teacher": "network"})
    return pd.concat([one, other]).drop_duplicates(["network", "teacher"]).dropna()


def over_seeds(gains: pd.DataFrame) -> pd.DataFrame:
    """The table `by_pair`: the means of `gains` over seeds, and the least and the largest gain among them."""
    groups = gains.groupby(KEYS, sort=False)
    spread = groups["gain"].agg(seeds="count", gain_least="min", gain_most="max")
    return groups[AVERAGED].mean().join(spread).join(groups[OF_BOTH].first()).reset_index()


def by_base(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All pairs, and the pairs of two models of the same and of different base architectures."""
    return {ALL: pairs, SAME: pairs[pairs["same_base"]], OTHER: pairs[~pairs["same_base"]]}


def changes(pairs: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The table `changes`: means over pairs, and the share of pairs above 0, in each group that is not empty."""
    rows = []
    for quantity in CHANGED:
        for group, part in by_base(pairs.dropna(subset=quantity)).items():
            if len(part):
                values = part[quantity].to_numpy(np.float64)
                ends = interval(part, partial(_mean_in_draw, values), resamples, seed)
                rows.append((quantity, group, len(part), values.mean(), *ends, (values > 0).mean()))
    return pd.DataFrame(rows, columns=["quantity", "group", "pairs", "mean", "low", "high", "positive"])


def _mean_in_draw(values: Array, times: Indices) -> float:
    return values @ times / times.sum()


def interval(
    pairs: pd.DataFrame, statistic: Callable[[Indices], float], resamples: int, seed: int
) -> tuple[float, float]:
    """The 95% interval of `statistic` over draws of students and, independently, of teachers with replacement; NaN for
    fewer than two pairs. statistic: a function of how often each pair occurs, int [P]; draws without any are left out.
    """
    if len(pairs) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    positions = [pd.factorize(pairs[key])[0] for key in KEYS]
    drawn = []
    for _ in range(resamples):
        times = np.ones(len(pairs), dtype=np.int64)
        for position in positions:
            number = position.max() + 1
            times *= np.bincount(rng.integers(0, number, number), minlength=number)[position]
        drawn.append(statistic(times) if times.any() else np.nan)
    low, high = percentile_interval(drawn)
    return float(low), float(high)


def relations(pairs: pd.DataFrame, *, resamples: int = 1000, permutations: int = 5040, seed: int = 0) -> pd.DataFrame:
    """The table `relations`: rank correlations of the gain with each of MEASURES in each group of `by_base`, without
    controls, given the student, because students differ in level, and given the student and the other measure. NaN
    where undefined, as in a group of too few pairs. p: see `p_value`."""
    rows = []
    for measure, other in ((SIMILARITY, ACCURACY), (ACCURACY, SIMILARITY)):
        for group, part in by_base(pairs.dropna(subset=["gain", *MEASURES])).items():
            for given, controls in (("", []), ("student", []), (f"student + {other}", [other])):
                levels = pd.get_dummies(part["student"]).to_numpy(np.float64) if given else np.empty((len(part), 0))
                table = np.column_stack([part[[measure, "gain", *controls]].to_numpy(np.float64), levels])
                spearman, ends, p = partial_correlation(table), (np.nan, np.nan), np.nan
                if np.isfinite(spearman):
                    ends = interval(part, partial(_correlation_in_draw, table), resamples, seed)
                    p = p_value(part, table, permutations, np.random.default_rng(seed))
                rows.append((measure, group, given, *part[KEYS].nunique(), len(part), spearman, *ends, p))
    columns = ["measure", "group", "given", "students", "teachers", "pairs", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def _correlation_in_draw(table: Array, times: Indices) -> float:
    return partial_correlation(table.repeat(times, axis=0))


def p_value(pairs: pd.DataFrame, table: Array, permutations: int, rng: np.random.Generator) -> float:
    """The two-sided p value of the partial rank correlation, which must be defined, of the first two columns of `table`
    [P, 2 + K] given the others.

    The residual of the first column is permuted among the teachers, in the same order for all students: in all orders
    or, if they are more than `permutations`, in the identity and random ones. A missing pair counts as an average one.
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
