"""An evaluation of rankings of teachers that were made without the gain that they predict."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sat_exp.statistics.resampling import percentile_interval, permutation_p
from sat_exp.studies.distill.gains import ACCURACY, KEYS, MEASURES, SIMILARITY, Array, Indices, interval, over_seeds
from sat_exp.studies.distill.teachers import Scores, gain_of_others, out_of_sample

MODELS = {"SAT and accuracy": MEASURES, "SAT": [SIMILARITY], "accuracy": [ACCURACY]}
AS_IT_IS, OTHER_STUDENTS, OTHER_SEEDS = "accuracy as it is", "gain of other students", "gain from other seeds"
RANDOM = "random"


@dataclass(frozen=True)
class Ranker:
    """A way to rank teachers.

    pairs: student, teacher, gain and block; teachers are ranked within a block, which is a student or a student and a
    seed. scores: see `teachers.Scores`. left_out: what it was fitted without, student or teacher. same_order: whether a
    permutation for its p value is the same in all blocks.
    """

    name: str
    left_out: str
    pairs: pd.DataFrame
    scores: Scores
    same_order: bool = True

    def p_value(self, observed: float, permutations: int, rng: np.random.Generator) -> float:
        """The one-sided p value of the mean correlation `observed`: gains are permuted among the teachers, and the
        ranker is fitted again to each permutation."""
        blocks, teachers = (pd.factorize(self.pairs[key])[0] for key in ("block", "teacher"))
        gain = np.full((blocks.max() + 1, teachers.max() + 1), np.nan)
        gain[blocks, teachers] = self.pairs["gain"]
        permuted = np.full(permutations, -np.inf)
        for draw in range(permutations):
            number = 1 if self.same_order else len(gain)
            orders = np.array([rng.permutation(gain.shape[1]) for _ in range(number)])
            moved = np.take_along_axis(gain, np.broadcast_to(orders, gain.shape), axis=1)[blocks, teachers]
            values = np.column_stack([self.scores(moved), moved])
            known = np.isfinite(values).all(axis=1)
            if known.any():
                permuted[draw] = mean_correlation(values[known], blocks[known])
        return permutation_p(observed, permuted)


def evaluated(gains: pd.DataFrame, *, resamples: int = 1000, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """The table `pickers`: the agreement of rankings of a student's teachers with the gain, the mean over seeds.

    One row per ranker and left_out: models of SAT and accuracy, or of one of them, fitted without the student or
    without the teacher; the teacher's accuracy as it is; the gain of other students; the gain from other seeds, which
    predicts that of one seed; and random orders, the same for all students.

    spearman: the mean over students of the rank correlation with the gain, its interval from draws of students and of
    teachers (for random orders: quantiles over orders). p: see `Ranker.p_value`; permutations are the same for all
    students, except for the gain of other students, which they would not change. regret: the best teacher's gain minus
    that of the teacher ranked first, mean over students. gains: see `gains.gains`.
    """
    pairs = over_seeds(gains).dropna(subset=["gain", *MEASURES]).reset_index(drop=True)
    pairs["block"] = pairs["student"]
    rows = []
    for ranker in rankers(pairs, from_other_seeds(gains)):
        scored = ranker.pairs.assign(score=ranker.scores(ranker.pairs["gain"].to_numpy()))
        scored = scored.dropna(subset=["score", "gain"])
        if len(scored):
            values, blocks = scored[["score", "gain"]].to_numpy(), pd.factorize(scored["block"])[0]
            spearman = mean_correlation(values, blocks)
            ends = interval(scored, partial(mean_correlation, values, blocks), resamples, seed)
            p = ranker.p_value(spearman, permutations, np.random.default_rng(seed))
            rows.append((ranker.name, ranker.left_out, *_counts(scored), spearman, *ends, p, _regret(scored)))
    if len(pairs):
        rng = np.random.default_rng(seed)
        teachers, blocks = pd.factorize(pairs["teacher"])[0], pd.factorize(pairs["block"])[0]
        orders = (rng.permutation(teachers.max() + 1)[teachers] for _ in range(resamples))
        drawn = [mean_correlation(np.column_stack([order, pairs["gain"]]), blocks) for order in orders]
        low, high = map(float, percentile_interval(drawn))
        rows.append((RANDOM, "", *_counts(pairs), 0.0, low, high, np.nan, _regret(pairs.assign(score=0.0))))
    columns = ["ranker", "left_out", "students", "teachers", "spearman", "low", "high", "p", "regret"]
    return pd.DataFrame(rows, columns=columns)


def rankers(pairs: pd.DataFrame, single: pd.DataFrame) -> Iterator[Ranker]:
    """All rankers but the random one. pairs: means over seeds; single: see `from_other_seeds`."""
    for key in KEYS:
        for name, measures in MODELS.items():
            yield Ranker(name, key, pairs, out_of_sample(pairs, measures, key))
    yield Ranker(AS_IT_IS, "", pairs, lambda gain: pairs[ACCURACY].to_numpy())
    yield Ranker(OTHER_STUDENTS, "student", pairs, gain_of_others(pairs), same_order=False)
    yield Ranker(OTHER_SEEDS, "", single, lambda gain: single["score"].to_numpy())


def from_other_seeds(gains: pd.DataFrame) -> pd.DataFrame:
    """student, teacher, gain; block, student and seed; score, the mean gain from the other seeds, NaN without one."""
    groups = gains.groupby(KEYS)["gain"]
    others = groups.transform("count") - 1
    score = (groups.transform("sum") - gains["gain"]) / others.where(others > 0)
    block = gains["student"] + " " + gains["seed"].astype(str)
    return gains[[*KEYS, "gain"]].assign(block=block, score=score)


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


def _counts(pairs: pd.DataFrame) -> tuple[int, int]:
    return pairs["student"].nunique(), pairs["teacher"].nunique()
