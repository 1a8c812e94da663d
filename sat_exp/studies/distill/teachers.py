"""Rankings of teachers by the gain that is expected of them before distillation."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from sat_exp.errors import UserError
from sat_exp.studies.distill.gains import KEYS, MEASURES, Array, Indices

Scores = Callable[[Array], Array]
"""A score for each pair as a function of the gains of all pairs, [P], NaN where the gain is missing."""


def fitted(pairs: pd.DataFrame) -> Array:
    """The weights of a linear model of the gain on MEASURES, by least squares. Each student's mean is subtracted first,
    because only the order of its teachers matters. UserError for too few pairs."""
    known = pairs.dropna(subset=["gain", *MEASURES])
    if len(known) - known["student"].nunique() < len(MEASURES):
        raise UserError(f"{len(known)} pairs of a student and a teacher are too few to rank teachers by: train more")
    return _least_squares(pd.factorize(known["student"])[0], known[MEASURES].to_numpy(), known["gain"].to_numpy())


def ranked(weights: Array, pairs: pd.DataFrame) -> pd.DataFrame:
    """student, teacher, MEASURES; expected, the gain by a model of these `weights` above that of the student's average
    teacher; rank, 1 for the best teacher of a student; best first."""
    values = _centred(pd.factorize(pairs["student"])[0], pairs[MEASURES].to_numpy(np.float64))
    table = pairs[[*KEYS, *MEASURES]].assign(expected=values @ weights, rank=_rank_by("expected"))
    return table.astype({"rank": int}).sort_values(["student", "rank"], ignore_index=True)


def rankings(pairs: pd.DataFrame) -> pd.DataFrame:
    """The table `rankings`: the teachers of each student, ranked by a model that was fitted without the student or, if
    there is only one student, without the teacher."""
    key = "student" if pairs["student"].nunique() > 1 else "teacher"
    expected = out_of_sample(pairs, MEASURES, key)(pairs["gain"].to_numpy())
    table = pairs[[*KEYS, *MEASURES, "gain"]].assign(expected=expected)
    table = table.assign(rank=_rank_by("expected"), gain_rank=_rank_by("gain"))
    return table.sort_values(["student", "rank"], ignore_index=True)


def with_gain_of_others(ranking: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A ranking with gave_others: the gain of other students of `pairs` from the teacher, above their average teacher;
    NaN for a teacher without other students."""
    both = pd.concat([pairs[[*KEYS, "gain"]], ranking[KEYS]], ignore_index=True)
    return ranking.assign(gave_others=gain_of_others(both)(both["gain"].to_numpy(np.float64))[len(pairs) :])


def with_gain(ranking: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """A ranking with the gain of the pairs that were trained afterwards, and its gain_rank; NaN for the others."""
    gain = pd.DataFrame(columns=[*KEYS, "gain"]) if pairs is None else pairs[[*KEYS, "gain"]]
    return ranking.merge(gain, on=KEYS, how="left").astype({"gain": np.float64}).assign(gain_rank=_rank_by("gain"))


def agreement(ranked: pd.DataFrame) -> pd.DataFrame:
    """The agreement of a ranking `with_gain` with the gains, one row per student with three or more trained teachers:
    student, teachers, their number, spearman of expected and actual gain, and SciPy's two-sided p."""
    known = ranked.dropna(subset="gain")
    rows = [
        (student, len(part), *spearmanr(part["expected"], part["gain"]))
        for student, part in known.groupby("student", sort=False)
        if len(part) > 2
    ]
    return pd.DataFrame(rows, columns=["student", "teachers", "spearman", "p"])


def _rank_by(column: str) -> Callable[[pd.DataFrame], pd.Series]:
    """The rank of a student's teachers, 1 for the largest number in `column`, as a function of the table."""
    return lambda table: table.groupby("student")[column].rank(ascending=False, method="first").astype("Int64")


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
