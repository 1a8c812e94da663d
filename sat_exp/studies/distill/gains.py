"""The gain of students from teachers, and the change of their similarity.

Students share teachers and teachers share students. Intervals therefore come from drawing both with replacement.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.statistics.resampling import percentile_interval

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

KEYS = ["student", "teacher"]
SIMILARITY, ACCURACY = MEASURES = ["sat_before", "teacher_accuracy"]
CHANGED = ["gain", "sat_change", "change_with_others", "beyond_others"]
AVERAGED = ["accuracy", "baseline", "sat_before", "sat_after", *CHANGED]
OF_BOTH = [ACCURACY, "student_base", "teacher_base", "same_base"]
ALL, SAME, OTHER = "all", "same base architecture", "other base architecture"


def known_before(trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame) -> pd.DataFrame:
    """The table `before`: what is known about each student and teacher before distillation, from the students trained
    alone. Arguments as for `gains`."""
    alone = trainings[trainings["teacher"] == ""].drop(columns="teacher").rename(columns={"accuracy": "baseline"})
    known = alone.merge(_sat(pairs), on="network").merge(teachers, on="teacher")
    return known.rename(columns={"sat": SIMILARITY})[[*KEYS, "seed", "baseline", *MEASURES]]


def gains(
    trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame, bases: Mapping[str, str]
) -> pd.DataFrame:
    """The table `gains`: one row per student, teacher and seed whose training, baseline and similarities are available.

    baseline: the accuracy of the same student and seed alone. gain: accuracy − baseline. sat_before, sat_after: SAT of
    the baseline, and of the distilled student, with the teacher. change_with_others: the mean of the same change with
    the other teachers. beyond_others: sat_change − change_with_others.

    trainings, pairs, teachers: the tables `trainings`, `similarity` and `teachers`. bases: the base architectures of
    networks and teachers by name.
    """
    before, sat = known_before(trainings, pairs, teachers), _sat(pairs)
    distilled = trainings[trainings["teacher"] != ""]
    table = distilled.merge(sat, on=["network", "teacher"]).merge(before, on=[*KEYS, "seed"])
    table = table.rename(columns={"sat": "sat_after"})
    table["gain"] = table["accuracy"] - table["baseline"]
    table["sat_change"] = table["sat_after"] - table["sat_before"]
    others = distilled.merge(sat.rename(columns={"teacher": "other"}), on="network")
    others = others.merge(before.rename(columns={"teacher": "other"}), on=["student", "seed", "other"])
    others = others[others["other"] != others["teacher"]]
    change = (others["sat"] - others["sat_before"]).groupby(others["network"]).mean()
    table["change_with_others"] = table["network"].map(change).astype(np.float64)
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
    """The table `changes`, the effect of distillation: the mean of each of CHANGED in each group of `by_base` that is
    not empty, its interval, and positive, the share of pairs above 0."""
    rows = []
    for quantity in CHANGED:
        for group, part in by_base(pairs.dropna(subset=quantity)).items():
            if len(part):
                values = part[quantity].to_numpy(np.float64)
                ends = interval(part, partial(_mean, values), resamples, seed)
                rows.append((quantity, group, len(part), values.mean(), *ends, (values > 0).mean()))
    return pd.DataFrame(rows, columns=["quantity", "group", "pairs", "mean", "low", "high", "positive"])


def interval(
    pairs: pd.DataFrame, statistic: Callable[[Indices], float], resamples: int, seed: int
) -> tuple[float, float]:
    """The 95 % interval of `statistic` over draws of students and, independently, of teachers with replacement; NaN for
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


def _mean(values: Array, times: Indices) -> float:
    return values @ times / times.sum()
