"""Rankings of teachers before distillation by their expected gain, and the agreement of rankings with the gain."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from sat_exp.errors import UserError
from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.studies.distill.gains import ACCURACY, KEYS, MEASURES, SIMILARITY, Array, Indices, interval, over_seeds

MODELS = {"SAT and accuracy": MEASURES, "SAT": [SIMILARITY], "accuracy": [ACCURACY]}
AS_IT_IS, OTHER_STUDENTS, OTHER_SEEDS = "accuracy as it is", "gain of other students", "gain from other seeds"
RANDOM = "random"

Scores = Callable[[Array], Array]
"""A score for each pair as a function of the gains of all pairs, [P], NaN where the gain is missing."""


def fitted(pairs: pd.DataFrame) -> Array:
    """The weights of a linear model of the gain on MEASURES, by least squares within students, because only the order
    of a student's teachers matters. UserError for too few pairs."""
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
    """The table `rankings`, by a model that was fitted without the student or, if there is only one, without the
    teacher."""
    key = "student" if pairs["student"].nunique() > 1 else "teacher"
    expected = out_of_sample(pairs, MEASURES, key)(pairs["gain"].to_numpy())
    table = pairs[[*KEYS, *MEASURES, "gain"]].assign(expected=expected)
    table = table.assign(rank=_rank_by("expected"), gain_rank=_rank_by("gain"))
    return table.sort_values(["student", "rank"], ignore_index=True)


def with_gain_of_others(ranking: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A ranking with gave_others: see `gain_of_others`, from the students of `pairs`; NaN for a teacher of no other."""
    both = pd.concat([pairs[[*KEYS, "gain"]], ranking[KEYS]], ignore_index=True)
    return ranking.assign(gave_others=gain_of_others(both)(both["gain"].to_numpy(np.float64))[len(pairs) :])


def with_gain(ranking: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.DataFrame:
    """A ranking with the gain of the pairs that were trained afterwards, and its gain_rank; NaN for the others."""
    gain = pd.DataFrame(columns=[*KEYS, "gain"]) if pairs is None else pairs[[*KEYS, "gain"]]
    return ranking.merge(gain, on=KEYS, how="left").astype({"gain": np.float64}).assign(gain_rank=_rank_by("gain"))


def agreement(ranked: pd.DataFrame) -> pd.DataFrame:
    """student, teachers, their number, spearman of expected and actual gain and SciPy's two-sided p, for students with
    three or more trained teachers. ranked: a ranking `with_gain`."""
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


def rankers(pairs: pd.DataFrame, gains: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame, Scores]]:
    """All rankers but the random one: the name; what the scores are fitted without, student, teacher or ""; student,
    teacher, gain and block, within which teachers are ranked, a student or a student and a seed; and the scores.
    pairs: means of `gains` over seeds, with block."""
    for key in KEYS:
        for name, measures in MODELS.items():
            yield name, key, pairs, out_of_sample(pairs, measures, key)
    yield AS_IT_IS, "", pairs, lambda gain: pairs[ACCURACY].to_numpy()
    yield OTHER_STUDENTS, "student", pairs, gain_of_others(pairs)
    of_pair = gains.groupby(KEYS)["gain"]
    others = of_pair.transform("count") - 1
    mean = (of_pair.transform("sum") - gains["gain"]) / others.where(others > 0)
    single = gains[[*KEYS, "gain"]].assign(block=gains["student"] + " " + gains["seed"].astype(str))
    yield OTHER_SEEDS, "", single, lambda gain: mean.to_numpy()


def p_value(
    observed: float, pairs: pd.DataFrame, scores: Scores, same_order: bool, permutations: int, rng: np.random.Generator
) -> float:
    """The one-sided p value of the mean correlation `observed`: gains are permuted among the teachers, in the same
    order in all blocks or not, and the ranker is fitted again to each permutation."""
    blocks, teachers = (pd.factorize(pairs[key])[0] for key in ("block", "teacher"))
    gain = np.full((blocks.max() + 1, teachers.max() + 1), np.nan)
    gain[blocks, teachers] = pairs["gain"]
    permuted = np.full(permutations, -np.inf)
    for draw in range(permutations):
        orders = np.array([rng.permutation(gain.shape[1]) for _ in range(1 if same_order else len(gain))])
        moved = np.take_along_axis(gain, np.broadcast_to(orders, gain.shape), axis=1)[blocks, teachers]
        values = np.column_stack([scores(moved), moved])
        known = np.isfinite(values).all(axis=1)
        if known.any():
            permuted[draw] = mean_correlation(values[known], blocks[known])
    return permutation_p(observed, permuted)


def evaluated(gains: pd.DataFrame, *, resamples: int = 1000, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """The table `pickers`: the agreement with the gain of every ranker, and of random orders that are the same for all
    students. gains: the table `gains`.

    Models of SAT and accuracy, or of one of them, are fitted without the student or without the teacher (left_out).
    "gain from other seeds" predicts the gain of one seed; for all others, the gain is the mean over seeds.

    spearman: the mean over students of the rank correlation with the gain. Its interval is from draws of students and
    of teachers; for random orders, quantiles over orders. p: see `p_value`; permutations are the same for all
    students, except for "gain of other students", which they would not change. regret: the gain from the best teacher
    minus that from the teacher ranked first, mean over students.
    """
    pairs = over_seeds(gains).dropna(subset=["gain", *MEASURES]).reset_index(drop=True)
    pairs["block"] = pairs["student"]
    rows = []
    for name, left_out, ranked_pairs, scores in rankers(pairs, gains):
        scored = ranked_pairs.assign(score=scores(ranked_pairs["gain"].to_numpy())).dropna(subset=["score", "gain"])
        if len(scored):
            values, blocks = scored[["score", "gain"]].to_numpy(), pd.factorize(scored["block"])[0]
            spearman = mean_correlation(values, blocks)
            ends = interval(scored, partial(mean_correlation, values, blocks), resamples, seed)
            same, rng = name != OTHER_STUDENTS, np.random.default_rng(seed)
            p = p_value(spearman, ranked_pairs, scores, same, permutations, rng)
            rows.append((name, left_out, *scored[KEYS].nunique(), spearman, *ends, p, _regret(scored)))
    if len(pairs):
        rng = np.random.default_rng(seed)
        teachers, blocks = pd.factorize(pairs["teacher"])[0], pd.factorize(pairs["block"])[0]
        orders = (rng.permutation(teachers.max() + 1)[teachers] for _ in range(resamples))
        drawn = [mean_correlation(np.column_stack([order, pairs["gain"]]), blocks) for order in orders]
        low, high = map(float, percentile_interval(drawn))
        rows.append((RANDOM, "", *pairs[KEYS].nunique(), 0.0, low, high, np.nan, _regret(pairs.assign(score=0.0))))
    columns = ["ranker", "left_out", "students", "teachers", "spearman", "low", "high", "p", "regret"]
    return pd.DataFrame(rows, columns=columns)


def mean_correlation(values: Array, blocks: Indices, times: Indices | None = None) -> float:
    """The mean over blocks of the rank correlation of the two columns of `values` [P, 2], weighted by their rows; NaN
    if both columns vary in no block. times: how often each row counts, once by default."""
    times = np.ones(len(values), dtype=np.int64) if times is None else times
    correlations, weights = [0.0], [0]
    for block in range(blocks.max() + 1):
        rows = np.flatnonzero(blocks == block).repeat(times[blocks == block])
        if len(rows) < 2:
            continue
        ranks = rankdata(values[rows], axis=0) - (len(rows) + 1) / 2
        lengths = np.linalg.norm(ranks, axis=0)
        if lengths.min() > 0:
            correlations.append(float(ranks[:, 0] @ ranks[:, 1] / lengths.prod()))
            weights.append(len(rows))
    return float(np.average(correlations, weights=weights)) if sum(weights) else np.nan


def _regret(scored: pd.DataFrame) -> float:
    """The mean over blocks of the best gain minus that of the row with the highest score (the mean of tied rows); NaN
    if no block has two rows."""
    blocks = [block for _, block in scored.groupby("block") if len(block) > 1]
    lost = [block["gain"].max() - block.loc[block["score"] == block["score"].max(), "gain"].mean() for block in blocks]
    return float(np.mean(lost)) if lost else np.nan
