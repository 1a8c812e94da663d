"""The choice of one ensemble from a pool: with labels by its errors, without labels by the SAT of its members."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp.ensembles.contests import Contests
from sat_exp.ensembles.members import Array, Ensembles, Members, pair_mean
from sat_exp.ensembles.pool import Pool
from sat_exp.ensembles.selection import BEST, RANDOM, SINGLE, STRATEGIES, Limits, held_out
from sat_exp.errors import UserError
from sat_exp.progress import progress
from sat_exp.statistics.resampling import interval_columns
from sat_exp.studies.pick.surrogates import draws_of_images

ACCURATE = "accuracy"
"""The strategy that the others are compared with: the most accurate models."""

SHOWN = 10
"""Ensembles in the table `least_similar`."""


def compared(
    ensembles: Ensembles,
    pool: Pool,
    contests: Contests,
    halves: NDArray[np.bool_],
    sats: Iterable[Array],
    limits: Limits,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """The table `ensemble_choices`: one row per strategy, the least held-out error first.

    halves, sats: for each split the images to choose on, bool [N], and the SAT matrix of these alone, [M, M]. models:
    what the strategy chooses on all images. held_out_error: on images that the choice did not see, the mean over the
    splits. fewer_errors: the held-out error of the strategy "accuracy" minus this one's. Both intervals are over
    `resamples` draws of the images. That of fewer_errors has Bonferroni's correction for the number of strategies, as
    the best of them is recommended.
    """
    wrong = cross_fitted(ensembles, pool, contests, halves, sats, limits)
    if ACCURATE not in wrong:
        raise UserError("on no half of the images is an ensemble within the limits: give a lower task.least_accuracy")
    draws = draws_of_images(len(wrong), resamples, seed)
    errors = draws @ wrong.to_numpy() / len(wrong)
    fewer = errors[:, [wrong.columns.get_loc(ACCURATE)]] - errors
    chosen = on_all_images(ensembles, pool, limits)
    table = described([chosen[strategy] for strategy in wrong.columns], pool.costs, pool.sat.index)
    table.insert(0, "strategy", list(wrong.columns))
    corrected = 1 - (1 - confidence) / (len(wrong.columns) - 1)
    table = table.assign(
        **interval_columns("held_out_error", errors[0], errors[1:], confidence),
        **interval_columns("fewer_errors", fewer[0], fewer[1:], corrected),
    )
    return table.sort_values("held_out_error", kind="stable", ignore_index=True)


def cross_fitted(
    ensembles: Ensembles,
    pool: Pool,
    contests: Contests,
    halves: NDArray[np.bool_],
    sats: Iterable[Array],
    limits: Limits,
) -> pd.DataFrame:
    """How often each strategy's choice errs on each image, float64 [N', strategies]: the share of the splits that do
    not choose on the image. Images on which every split chooses are left out."""
    wrong: dict[str, Array] = {}
    times: dict[str, Array] = {}
    with progress("choices", len(halves)) as bar:
        for half, sat in zip(halves, sats, strict=True):
            for row in held_out(contests, pool, [ensembles], half, sat, limits).itertuples():
                if row.strategy not in (RANDOM, BEST):
                    errs = errors_of(contests, np.array(row.models.split(), int), len(half))
                    wrong[row.strategy] = wrong.get(row.strategy, 0) + (errs & ~half)
                    times[row.strategy] = times.get(row.strategy, 0) + ~half
            bar(1)
    return (pd.DataFrame(wrong) / pd.DataFrame(times)).dropna()


def errors_of(contests: Contests, members: NDArray[np.integer], images: int) -> NDArray[np.bool_]:
    """Whether the ensemble of `members`, int [n], gets each image wrong, bool [images]."""
    wrong = np.zeros(images, bool)
    wrong[contests.lost] = True
    wrong[contests.image[contests.margins[members].sum(axis=0) < contests.tie]] = True
    return wrong


def on_all_images(ensembles: Ensembles, pool: Pool, limits: Limits) -> Mapping[str, NDArray[np.integer]]:
    """The members that each strategy chooses on all images, int [n], and the best single model."""
    within = np.flatnonzero(limits.allow(ensembles.members, pool.accuracy, pool.costs))
    table = ensembles.table.iloc[within].fillna(np.inf)
    chosen = {name: ensembles.members[within[minimised(table).argmin()]] for name, minimised in STRATEGIES.items()}
    single = np.flatnonzero(limits.allow(np.arange(len(pool.accuracy))[:, None], pool.accuracy, pool.costs))
    return chosen | {SINGLE: single[[pool.accuracy[single].argmax()]]}


def least_similar(
    members: Members, sat: pd.DataFrame, draws: Iterable[pd.DataFrame], costs: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """The table `least_similar`: the ensembles of `members`, int [E, n], whose members have the least mean SAT.

    sat: [M, M]; draws: such matrices of other draws of the images. first: the share of the draws in which the ensemble
    has the least mean SAT of all.
    """
    means = pair_mean(sat.to_numpy(), members)
    order = np.argsort(means, kind="stable")[:SHOWN]
    drawn = np.array([pair_mean(matrix.to_numpy(), members) for matrix in draws])
    table = described(list(members[order]), costs, sat.index)
    first = (drawn[:, order] <= np.fmin.reduce(drawn, axis=1, keepdims=True)).mean(axis=0)
    return table.assign(**interval_columns("mean_sat", means[order], drawn[:, order], confidence), first=first)


def described(chosen: Sequence[NDArray[np.integer]], costs: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """models, size and the sum of each of the members' `costs`: one row per ensemble, int [n] each."""
    rows = [
        {"models": " + ".join(names[members]), "size": len(members), **costs.iloc[members].sum()} for members in chosen
    ]
    return pd.DataFrame(rows)
