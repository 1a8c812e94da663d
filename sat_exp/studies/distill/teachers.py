"""Rankings of teachers by the gain that is expected of them before distillation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from sat_exp.errors import UserError
from sat_exp.studies.distill.gains import ACCURACY, KEYS, SIMILARITY, Array, Indices

Scores = Callable[[Array], Array]
"""A score for each pair as a function of the gains of all pairs, [P], NaN where the gain is missing."""


@dataclass(frozen=True)
class GainModel:
    """A linear model of the gain from facts that are known before distillation. weights: the coefficient of each."""

    weights: dict[str, float]

    @classmethod
    def fit(cls, pairs: pd.DataFrame, measures: Sequence[str] = (SIMILARITY, ACCURACY)) -> "GainModel":
        """The least-squares fit of the gain on `measures`. Each student's mean is subtracted first, because only the
        order of its teachers matters. UserError for too few pairs."""
        known = pairs.dropna(subset=["gain", *measures])
        if len(known) - known["student"].nunique() < len(measures):
            raise UserError(
                f"{len(known)} pairs of a student and a teacher are too few to rank teachers by: train more"
            )
        students = pd.factorize(known["student"])[0]
        weights = _least_squares(students, known[list(measures)].to_numpy(), known["gain"].to_numpy())
        return cls(dict(zip(measures, weights.tolist(), strict=True)))

    def ranking(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """student, teacher, the measures; expected, the expected gain above that of the student's average teacher;
        rank, 1 for the best teacher of a student; best first."""
        values = _centred(pd.factorize(pairs["student"])[0], pairs[list(self.weights)].to_numpy(np.float64))
        table = pairs[[*KEYS, *self.weights]].assign(expected=values @ np.array([*self.weights.values()]))
        table["rank"] = _rank(table, "expected").astype(int)
        return table.sort_values(["student", "rank"], ignore_index=True)


def with_gain_of_others(ranking: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A ranking with gave_others: the gain of other students of `pairs` from the teacher, above their average teacher;
    NaN for a teacher without other students."""
    both = pd.concat([pairs[[*KEYS, "gain"]], ranking[KEYS]], ignore_index=True)
    return ranking.assign(gave_others=gain_of_others(both)(both["gain"].to_numpy(np.float64))[len(pairs) :])


def with_gain(ranking: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """A ranking with the gain of the pairs that were trained afterwards, and its gain_rank; NaN for the others."""
    gain = pd.DataFrame(columns=[*KEYS, "gain"]) if pairs is None else pairs[[*KEYS, "gain"]]
    table = ranking.merge(gain, on=KEYS, how="left").astype({"gain": np.float64})
    return table.assign(gain_rank=_rank(table, "gain").astype("Int64"))


def agreement(ranked: pd.DataFrame) -> pd.DataFrame:
    """The agreement of a ranking `with_gain` with the gains, one row per student with three or more trained teachers:
    student, teachers, their number, spearman of expected and actual gain, and SciPy's two-sided p."""
    rows = []
    for student, part in ranked.dropna(subset="gain").groupby("student", sort=False):
        if len(part) > 2:
            result = spearmanr(part["expected"], part["gain"])
            rows.append((student, len(part), float(result.statistic), float(result.pvalue)))
    return pd.DataFrame(rows, columns=["student", "teachers", "spearman", "p"])


def rankings(pairs: pd.DataFrame) -> pd.DataFrame:
    """The teachers of each student, ranked by a model of SAT and accuracy that was fitted without the student or, if
    there is only one student, without the teacher: student, teacher, sat_before, teacher_accuracy, gain, expected, rank
    (1 for the best), gain_rank."""
    key = "student" if pairs["student"].nunique() > 1 else "teacher"
    expected = out_of_sample(pairs, [SIMILARITY, ACCURACY], key)(pairs["gain"].to_numpy())
    table = pairs[[*KEYS, SIMILARITY, ACCURACY, "gain"]].assign(expected=expected)
    for rank, column in (("rank", "expected"), ("gain_rank", "gain")):
        table[rank] = _rank(table, column).astype("Int64")
    return table.sort_values(["student", "rank"], ignore_index=True)


def _rank(table: pd.DataFrame, column: str) -> pd.Series:
    return table.groupby("student")[column].rank(ascending=False, method="first")


def out_of_sample(pairs: pd.DataFrame, measures: Sequence[str], key: str) -> Scores:
    """The expected gains of a model that is fitted without the pair's student, or without its teacher (`key`); NaN if
    the other pairs are too few."""
    students, groups = (pd.factorize(pairs[name])[0] for name in ("student", key))
    values = pairs[list(measures)].to_numpy(np.float64)
    centred = _centred(students, values)

    def scores(gain: Array) -> Array:
        expected = np.full(len(gain), np.nan)
        for group in range(groups.max() + 1):
            fitted = (groups != group) & np.isfinite(gain)
            if fitted.sum() - len(np.unique(students[fitted])) >= len(measures):
                weights = _least_squares(students[fitted], values[fitted], gain[fitted])
                expected[groups == group] = centred[groups == group] @ weights
        return expected

    return scores


def gain_of_others(pairs: pd.DataFrame) -> Scores:
    """The mean gain of other students from the pair's teacher, above each of these students' mean gain."""
    students, teachers = (pd.factorize(pairs[key])[0] for key in KEYS)

    def scores(gain: Array) -> Array:
        known = np.isfinite(gain)
        above = np.zeros(len(gain))
        above[known] = _centred(students[known], gain[known, None])[:, 0]
        others = (teachers[:, None] == teachers) & (students[:, None] != students) & known
        counts = others.sum(axis=1)
        return np.where(counts > 0, others @ above / np.maximum(counts, 1), np.nan)

    return scores


def _least_squares(students: Indices, values: Array, gain: Array) -> Array:
    """The coefficients [K] of `gain` [P] on `values` [P, K], both minus the means of their students."""
    centred = _centred(students, values), _centred(students, gain[:, None])[:, 0]
    return np.asarray(np.linalg.lstsq(*centred)[0], np.float64)


def _centred(groups: Indices, values: Array) -> Array:
    """`values` [P, K] minus the mean of their group."""
    member = np.eye(groups.max() + 1)[groups]
    return values - member @ (member.T @ values / np.maximum(member.sum(axis=0), 1)[:, None])
