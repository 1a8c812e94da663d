"""Whether a teacher that is similar to a student before training makes a better one.

Students share teachers and teachers students: intervals come from drawing both with replacement, p values from
exchanging the teachers among themselves, for all students at once.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations as orders_of

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from sat_exp.errors import UserError
from sat_exp.statistics.relations import basis_of, partial_correlation

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

KEYS = ["student", "teacher"]
SIMILARITY, ACCURACY = "sat_before", "teacher_accuracy"
CHANGED = ["gain", "sat_change", "change_with_others", "beyond_others"]
AVERAGED = ["accuracy", "baseline", "sat_before", "sat_after", *CHANGED]
OF_BOTH = [ACCURACY, "student_base", "teacher_base", "same_base"]
ALL, SAME, OTHER = "all", "same base architecture", "other base architecture"
RANKERS = {"SAT and accuracy": [SIMILARITY, ACCURACY], "SAT": [SIMILARITY], "accuracy": [ACCURACY]}
AS_IT_IS, OTHER_STUDENTS, OTHER_SEEDS = "accuracy as it is", "gain of other students", "gain from other seeds"
RANDOM = "random"


def known_before(trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame) -> pd.DataFrame:
    """What is known of each student and teacher before the one teaches the other: student, teacher, seed, baseline,
    sat_before, teacher_accuracy; from the students that learned alone. Arguments as of `gains`."""
    alone = trainings[trainings["teacher"] == ""].drop(columns="teacher").rename(columns={"accuracy": "baseline"})
    found = alone.merge(_sat(pairs), on="network").merge(teachers, on="teacher")
    return found.rename(columns={"sat": "sat_before"})[[*KEYS, "seed", "baseline", "sat_before", "teacher_accuracy"]]


def gains(
    trainings: pd.DataFrame, pairs: pd.DataFrame, teachers: pd.DataFrame, bases: Mapping[str, str]
) -> pd.DataFrame:
    """A row for each student, teacher and seed whose training, baseline and similarities are there.

    `trainings`: student, teacher ("" for the baseline), seed, network = what it is called in `pairs`, accuracy.
    `pairs`: model_a, model_b, sat. `teachers`: teacher, teacher_accuracy. `bases`: base architectures by the names of
    networks and teachers.

    Columns: student, teacher, seed, accuracy, baseline = that of the same seed alone, gain = accuracy − baseline;
    sat_before = SAT of the baseline with the teacher, sat_after = of the taught student with it, sat_change;
    change_with_others = the mean of the same change with the other teachers; beyond_others = sat_change less that;
    teacher_accuracy, student_base, teacher_base, same_base. Accuracies and gains are fractions.
    """
    known, similarity = known_before(trainings, pairs, teachers), _sat(pairs)
    taught = trainings[trainings["teacher"] != ""]
    found = taught.merge(similarity, on=["network", "teacher"]).merge(known, on=[*KEYS, "seed"])
    found = found.rename(columns={"sat": "sat_after"})
    found["gain"] = found["accuracy"] - found["baseline"]
    found["sat_change"] = found["sat_after"] - found["sat_before"]
    others = taught.merge(similarity.rename(columns={"teacher": "other"}), on="network")
    others = others.merge(known.rename(columns={"teacher": "other"}), on=["student", "seed", "other"])
    others = others[others["other"] != others["teacher"]]
    others["change_with_others"] = (others["sat"] - others["sat_before"]).astype(np.float64)
    found = found.merge(
        others.groupby("network", as_index=False)["change_with_others"].mean(), on="network", how="left"
    )
    found["beyond_others"] = found["sat_change"] - found["change_with_others"]
    found["student_base"], found["teacher_base"] = found["network"].map(bases), found["teacher"].map(bases)
    found["same_base"] = found["student_base"] == found["teacher_base"]
    return found[[*KEYS, "seed", *AVERAGED, *OF_BOTH]]


def _sat(pairs: pd.DataFrame) -> pd.DataFrame:
    """network, teacher, sat: each pair both ways."""
    there = pairs[["model_a", "model_b", "sat"]].set_axis(["network", "teacher", "sat"], axis=1)
    back = there.rename(columns={"network": "teacher", "teacher": "network"})
    return pd.concat([there, back]).drop_duplicates(["network", "teacher"]).dropna()


def over_seeds(gains: pd.DataFrame) -> pd.DataFrame:
    """A row for each student and teacher: the means over seeds of what `gains` has; seeds, how many; gain_least and
    gain_most among them."""
    groups = gains.groupby(KEYS, sort=False)
    spread = groups["gain"].agg(seeds="count", gain_least="min", gain_most="max")
    return groups[AVERAGED].mean().join(spread).join(groups[OF_BOTH].first()).reset_index()


def groups_of(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All pairs, and those of two models of the same and of another base architecture."""
    return {ALL: pairs, SAME: pairs[pairs["same_base"]], OTHER: pairs[~pairs["same_base"]]}


def changes(pairs: pd.DataFrame, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """What distillation changes: a row for each of CHANGED, over all pairs and by whether they share their base
    architecture: quantity, group, pairs, mean, low, high (draws of students and of teachers), positive = the share of
    pairs above 0."""
    rows = []
    for quantity in CHANGED:
        for group, part in groups_of(pairs.dropna(subset=quantity)).items():
            if len(part):
                values = part[quantity].to_numpy(np.float64)
                low, high = interval(part, partial(_mean, values), resamples, confidence, seed)
                rows.append((quantity, group, len(part), values.mean(), low, high, float((values > 0).mean())))
    return pd.DataFrame(rows, columns=["quantity", "group", "pairs", "mean", "low", "high", "positive"])


def relations(
    pairs: pd.DataFrame,
    *,
    resamples: int = 1000,
    permutations: int = 5040,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlation of the gain with SAT before training, and with the teacher's accuracy.

    A row for each measure, group of pairs and what is accounted for (given): nothing, the student, whose level differs
    from the others', and the other measure as well. Columns: measure, group, given, students, teachers, pairs;
    spearman, the partial rank correlation, with low and high from draws of students and of teachers with replacement;
    p, two-sided, from `permutations` exchanges of the teachers, all where there are no more. NaN where it is not
    defined, as in a group of too few pairs.
    """
    rows = []
    for measure, other in ((SIMILARITY, ACCURACY), (ACCURACY, SIMILARITY)):
        for group, part in groups_of(pairs.dropna(subset=["gain", SIMILARITY, ACCURACY])).items():
            for given, columns in (("", []), ("student", []), (f"student + {other}", [other])):
                levels = pd.get_dummies(part["student"]).to_numpy(np.float64) if given else np.empty((len(part), 0))
                table = np.column_stack([part[[measure, "gain", *columns]].to_numpy(np.float64), levels])
                counts = part["student"].nunique(), part["teacher"].nunique(), len(part)
                found, ends, p = partial_correlation(table), (np.nan, np.nan), np.nan
                if np.isfinite(found):
                    ends = interval(part, partial(_repeated, table), resamples, confidence, seed)
                    p = exchanged(part, table, permutations, np.random.default_rng(seed))
                rows.append((measure, group, given, *counts, found, *ends, p))
    columns = ["measure", "group", "given", "students", "teachers", "pairs", "spearman", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def interval(
    pairs: pd.DataFrame, statistic: Callable[[Indices], float], resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Percentiles of `statistic`, given how often each pair counts, over draws of students and, apart from them, of
    teachers with replacement; NaN where there are not two pairs to draw."""
    if len(pairs) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    places = [pd.factorize(pairs[key])[0] for key in KEYS]
    drawn = []
    for _ in range(resamples):
        times = np.ones(len(pairs), dtype=np.int64)
        for place in places:
            number = place.max() + 1
            times *= np.bincount(rng.integers(0, number, number), minlength=number)[place]
        drawn.append(statistic(times))
    return _ends(drawn, confidence)


def _ends(drawn: Sequence[float], confidence: float) -> tuple[float, float]:
    """Percentile interval, NaN left out."""
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def exchanged(pairs: pd.DataFrame, table: Array, permutations: int, rng: np.random.Generator) -> float:
    """Two-sided p of the partial rank correlation of the first two columns of `table` [P, 2 + K] given the others.

    What least squares on the others leaves of the first is exchanged among the teachers, for all students at once: the
    share of the orders that give at least the correlation found, the identity among them. A pair that is missing counts
    as an average one.
    """
    if len(pairs) < table.shape[1] + 1:
        return np.nan
    student, teacher = (pd.factorize(pairs[key])[0] for key in KEYS)
    ranks = rankdata(table, axis=0)
    basis = basis_of(ranks[:, 2:])
    first, second = (ranks[:, column] - basis @ (basis.T @ ranks[:, column]) for column in (0, 1))
    if min(np.ptp(first), np.ptp(second)) <= 1e-9 * len(ranks):
        return np.nan
    square = np.zeros((student.max() + 1, teacher.max() + 1))
    square[student, teacher] = first
    moved = np.array([square[student, order[teacher]] for order in _orders(square.shape[1], permutations, rng)])
    moved -= (moved @ basis) @ basis.T
    length = np.linalg.norm(moved, axis=1)
    sizes = np.abs(moved @ second) / np.where(length > 1e-9, length, 1)
    return float((sizes >= sizes[0] * (1 - 1e-9)).mean())


def _orders(number: int, most: int, rng: np.random.Generator) -> list[Indices]:
    """All orders of `number` things, the identity first, or it and as many random ones as make `most`."""
    if math.factorial(number) <= most:
        return [np.array(order) for order in orders_of(range(number))]
    return [np.arange(number), *(rng.permutation(number) for _ in range(most - 1))]


def _repeated(table: Array, times: Indices) -> float:
    return partial_correlation(table.repeat(times, axis=0))


def _mean(values: Array, times: Indices) -> float:
    return float(values @ times / times.sum()) if times.any() else np.nan


@dataclass(frozen=True)
class Picker:
    """Ranks the teachers of a student by what is known before training; weights: of each measure in the expected
    gain."""

    weights: dict[str, float]

    @classmethod
    def fitted(cls, pairs: pd.DataFrame, measures: Sequence[str] = (SIMILARITY, ACCURACY)) -> "Picker":
        """From pairs whose gain is known: least squares of the gain on `measures`, all of them less the student's mean,
        as only the order of one student's teachers is asked for. UserError for fewer pairs than that needs."""
        known = pairs.dropna(subset=["gain", *measures])
        if len(known) - known["student"].nunique() < len(measures):
            raise UserError(
                f"{len(known)} pairs of a student and a teacher are too few to rank teachers by: train more"
            )
        students = pd.factorize(known["student"])[0]
        found = _weights(students, known[list(measures)].to_numpy(), known["gain"].to_numpy())
        return cls(dict(zip(measures, found.tolist(), strict=True)))

    def scores(self, pairs: pd.DataFrame) -> pd.Series:
        """The expected gain of each pair, above that of the student's average teacher."""
        centred = _centred(pd.factorize(pairs["student"])[0], pairs[list(self.weights)].to_numpy(np.float64))
        return pd.Series(centred @ np.array([*self.weights.values()]), index=pairs.index)

    def ranking(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """student, teacher, the measures, expected, rank (1: the best), best first."""
        found = pairs[[*KEYS, *self.weights]].assign(expected=self.scores(pairs))
        found["rank"] = found.groupby("student")["expected"].rank(ascending=False, method="first").astype(int)
        return found.sort_values(["student", "rank"], ignore_index=True)


def elsewhere(ranking: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """`Picker.ranking` with gave_others: what the teacher gave other students of `pairs` above their average teacher,
    NaN where it taught none."""
    both = pd.concat([pairs[[*KEYS, "gain"]], ranking[KEYS]], ignore_index=True)
    return ranking.assign(gave_others=_of_others(both)(both["gain"].to_numpy(np.float64))[len(pairs) :])


def beside(ranking: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """`Picker.ranking` with the gain of the pairs that were trained since, and its rank; NaN of the others."""
    gain = pd.DataFrame(columns=[*KEYS, "gain"]) if pairs is None else pairs[[*KEYS, "gain"]]
    found = ranking.merge(gain, on=KEYS, how="left").astype({"gain": np.float64})
    found["gain_rank"] = found.groupby("student")["gain"].rank(ascending=False, method="first").astype("Int64")
    return found


def agreed(picked: pd.DataFrame) -> pd.DataFrame:
    """Of `beside`: student, teachers that were trained, spearman of expected gain and gain, and p, two-sided, SciPy's;
    a row a student of three teachers or more."""
    rows = []
    for student, part in picked.dropna(subset="gain").groupby("student", sort=False):
        if len(part) > 2:
            found = spearmanr(part["expected"], part["gain"])
            rows.append((student, len(part), float(found.statistic), float(found.pvalue)))
    return pd.DataFrame(rows, columns=["student", "teachers", "spearman", "p"])


def rankings(pairs: pd.DataFrame) -> pd.DataFrame:
    """The teachers of each student in the order of a picker by SAT and accuracy that has not seen the student, or,
    where there is no other, the teacher: student, teacher, expected, rank (1: the best), gain, gain_rank."""
    key = "student" if pairs["student"].nunique() > 1 else "teacher"
    found = pairs[[*KEYS, SIMILARITY, ACCURACY, "gain"]].assign(expected=left_out(pairs, [SIMILARITY, ACCURACY], key))
    for rank, column in (("rank", "expected"), ("gain_rank", "gain")):
        found[rank] = found.groupby("student")[column].rank(ascending=False, method="first").astype("Int64")
    return found.sort_values(["student", "rank"], ignore_index=True)


def left_out(pairs: pd.DataFrame, measures: Sequence[str], key: str) -> pd.Series:
    """The score of each pair from a picker that has not seen the pair's student or teacher, as `key` says; NaN where
    the others are too few."""
    fitted = _left_out(pairs, measures, key)
    return pd.Series(fitted(pairs["gain"].to_numpy()), index=pairs.index)


def _left_out(pairs: pd.DataFrame, measures: Sequence[str], key: str) -> Callable[[Array], Array]:
    """`left_out` of `pairs` as a function of their gains, [P], NaN where one is missing."""
    students, groups = (pd.factorize(pairs[name])[0] for name in ("student", key))
    values = pairs[list(measures)].to_numpy(np.float64)
    scored = _centred(students, values)

    def scores(gain: Array) -> Array:
        found = np.full(len(gain), np.nan)
        for one in range(groups.max() + 1):
            seen = (groups != one) & np.isfinite(gain)
            if seen.sum() - len(np.unique(students[seen])) >= len(measures):
                found[groups == one] = scored[groups == one] @ _weights(students[seen], values[seen], gain[seen])
        return found

    return scores


def _weights(students: Indices, values: Array, gain: Array) -> Array:
    """Least squares of `gain` [P] on `values` [P, K], both less their student's mean."""
    return np.asarray(
        np.linalg.lstsq(_centred(students, values), _centred(students, gain[:, None])[:, 0])[0], np.float64
    )


def _centred(groups: Indices, values: Array) -> Array:
    """`values` [P, K] less the mean of their group."""
    member = np.eye(groups.max() + 1)[groups]
    return values - member @ (member.T @ values / np.maximum(member.sum(axis=0), 1)[:, None])


def _of_others(pairs: pd.DataFrame) -> Callable[[Array], Array]:
    """What each pair's teacher gave other students above their means, as a function of the gains, [P]."""
    students, teachers = (pd.factorize(pairs[key])[0] for key in KEYS)

    def scores(gain: Array) -> Array:
        known = np.isfinite(gain)
        above = np.full(len(gain), np.nan)
        above[known] = _centred(students[known], gain[known, None])[:, 0]
        others = (teachers[:, None] == teachers) & (students[:, None] != students) & known
        counts = others.sum(axis=1)
        return np.where(counts > 0, others @ np.where(known, above, 0) / np.maximum(counts, 1), np.nan)

    return scores


def held(
    gains: pd.DataFrame, *, resamples: int = 1000, permutations: int = 999, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """How well rankings of a student's teachers that were made without a look at its gain foretold the gain.

    `gains` as `gains` gives them; the gain foretold is the mean over seeds. A row for each ranker and what it had not
    seen (left_out): a picker by SAT and accuracy, or by one of them, fitted without the student, or without the
    teacher, that it ranks; accuracy as it is; what the teacher gave other students; random orders, the same for all
    students; and the gain from other seeds, which foretells that of one seed.

    students, teachers; spearman, the mean over students of the rank correlation with the gain, with low and high from
    draws of students and of teachers (of random orders: their own quantiles); p, one-sided: the share of `permutations`
    exchanges of the gains among the teachers, for all students at once, after which the ranker, fitted anew, does as
    well, the identity among them; of what the teacher gave others, exchanges for each student apart, as those for all
    at once change nothing; regret, the gain of the best teacher less that of the one ranked first, mean over students.
    """
    pairs = over_seeds(gains).dropna(subset=["gain", SIMILARITY, ACCURACY]).reset_index(drop=True)
    pairs["block"] = pairs["student"]
    single = from_other_seeds(gains).reset_index(drop=True)
    rankers: list[tuple[str, str, pd.DataFrame, Callable[[Array], Array], bool]] = []
    for key in KEYS:
        for name, used in RANKERS.items():
            rankers.append((name, key, pairs, _left_out(pairs, used, key), True))
    rankers.append((AS_IT_IS, "", pairs, lambda gain: pairs[ACCURACY].to_numpy(), True))
    rankers.append((OTHER_STUDENTS, "student", pairs, _of_others(pairs), False))
    rankers.append((OTHER_SEEDS, "", single, lambda gain: single["score"].to_numpy(), True))
    rows = []
    for name, without, frame, scores, together in rankers:
        known = frame.assign(score=scores(frame["gain"].to_numpy())).dropna(subset=["score", "gain"])
        if len(known):
            agreement = partial(_agreement, known[["score", "gain"]].to_numpy(), pd.factorize(known["block"])[0])
            ends = interval(known, agreement, resamples, confidence, seed)
            p = _by_lot(frame, scores, together, agreement(), permutations, np.random.default_rng(seed))
            rows.append((name, without, *_counts(known), agreement(), *ends, p, _regret(known)))
    if len(pairs):
        rng = np.random.default_rng(seed)
        teachers, blocks = pd.factorize(pairs["teacher"])[0], pd.factorize(pairs["block"])[0]
        orders = (rng.permutation(teachers.max() + 1)[teachers] for _ in range(resamples))
        lots = [_agreement(np.column_stack([order, pairs["gain"]]), blocks) for order in orders]
        rows.append(
            (RANDOM, "", *_counts(pairs), 0.0, *_ends(lots, confidence), np.nan, _regret(pairs.assign(score=0.0)))
        )
    columns = ["ranker", "left_out", "students", "teachers", "spearman", "low", "high", "p", "regret"]
    return pd.DataFrame(rows, columns=columns)


def _by_lot(
    frame: pd.DataFrame,
    scores: Callable[[Array], Array],
    together: bool,
    found: float,
    permutations: int,
    rng: np.random.Generator,
) -> float:
    """The share of exchanges of the gains among the teachers of a block that agree with their `scores` at least as
    `found`; together: the same exchange in all blocks."""
    if not np.isfinite(found):
        return np.nan
    blocks, teachers = (pd.factorize(frame[key])[0] for key in ("block", "teacher"))
    gain = np.full((blocks.max() + 1, teachers.max() + 1), np.nan)
    gain[blocks, teachers] = frame["gain"]
    exceeded = 1
    for _ in range(permutations):
        orders = (
            [rng.permutation(gain.shape[1])] * len(gain)
            if together
            else [*map(rng.permutation, [gain.shape[1]] * len(gain))]
        )
        moved = np.take_along_axis(gain, np.array(orders), axis=1)[blocks, teachers]
        values = np.column_stack([scores(moved), moved])
        known = np.isfinite(values).all(axis=1)
        exceeded += _agreement(values[known], blocks[known]) >= found - 1e-9 if known.any() else 0
    return exceeded / (1 + permutations)


def from_other_seeds(gains: pd.DataFrame) -> pd.DataFrame:
    """student, teacher, block = student and seed, gain, score = the mean gain from the other seeds, NaN without one."""
    groups = gains.groupby(KEYS)["gain"]
    others = groups.transform("count") - 1
    score = (groups.transform("sum") - gains["gain"]) / others.where(others > 0)
    block = gains["student"] + " " + gains["seed"].astype(str)
    return gains[[*KEYS, "gain"]].assign(block=block, score=score)


def _agreement(values: Array, blocks: Indices, times: Indices | None = None) -> float:
    """Mean over blocks of the rank correlation of the two columns of `values` [P, 2], each row as often as `times`
    says; a block counts by its rows, and not at all where a column does not vary."""
    times = np.ones(len(values), dtype=np.int64) if times is None else times
    found, weights = [0.0], [0]
    for block in range(blocks.max() + 1):
        rows = np.flatnonzero(blocks == block).repeat(times[blocks == block])
        if len(rows) < 2:
            continue
        ranks = rankdata(values[rows], axis=0)
        ranks -= ranks.mean(axis=0)
        lengths = np.linalg.norm(ranks, axis=0)
        if lengths.min() > 0:
            found.append(float(ranks[:, 0] @ ranks[:, 1] / lengths.prod()))
            weights.append(len(rows))
    return float(np.average(found, weights=weights)) if sum(weights) else np.nan


def _regret(frame: pd.DataFrame) -> float:
    """Mean over blocks of the best gain less that of the row with the highest score; of equals, their mean. NaN where
    no block leaves a choice."""
    lost = []
    for _, block in frame.groupby("block").filter(lambda rows: len(rows) > 1).groupby("block"):
        picked = block.loc[block["score"] >= block["score"].max(), "gain"]
        lost.append(block["gain"].max() - picked.mean())
    return float(np.mean(lost)) if lost else np.nan


def _counts(pairs: pd.DataFrame) -> tuple[int, int]:
    return pairs["student"].nunique(), pairs["teacher"].nunique()
