"""Exact error counts of all ensembles of a pool.

Source: Hwang et al. (ECCV 2024), the study of ensembles: 1 − err(ensemble) / mean err(members) against SAT.

An ensemble adds its members' scores for each class (probabilities, logits or votes) and predicts the class with the
largest sum; a tie goes to the lowest class. Scores are rounded once to whole steps. The counts therefore do not depend
on the order of addition.

Few classes matter, which makes the count fast. Let m_k[c] = score of the true class y − score of c under model k. An
ensemble S is right if Σ_{k∈S} m_k[c] ≥ t[c] for every c ≠ y, where t[c] = 1 if c < y (a tie is lost) and 0 otherwise. A
class with m_k[c] ≥ t[c] under every model never wins. A class whose margins are nowhere below those of another class,
and whose t is not above, never wins alone. The remaining classes are the `Contests`: a few ten thousand for 69 networks
× 5,000 images × 1,000 classes. Ensembles in lexicographic order share the sums of their first members, and a contest is
dropped as soon as the members still to come cannot change its outcome.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sat_exp.errors import UserError

Block = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Logits float32 [M, B, classes] of all models for a block of images, and the images' labels int64 [B]."""

Steps = NDArray[np.int32]
"""Scores, or sums of scores, in whole steps."""

Average = Literal["probabilities", "logits", "votes"]
PROBABILITY_STEPS, LOGIT_STEPS = 2**28, 2**20
MOST_MEMBERS = 7  # seven probabilities in steps of 2^-28 add up to less than 2^31
LEAST_SHARING = 6  # ensembles with the same first members from which looking for settled contests saves time


@dataclass(frozen=True)
class Contests:
    """The contests of all images: in each, the true class of an image against another class that could win.

    margins: [M, C], the score of the true class above the other under each model. tie: [C], 1 where a sum of 0 is lost,
    else 0. image: int64 [C], ascending, the image of each contest. lost: int64 [L], the images that every ensemble gets
    wrong. Every ensemble is right on an image that is neither in `image` nor in `lost`.
    """

    margins: Steps
    tie: Steps
    image: NDArray[np.int64]
    lost: NDArray[np.int64]

    def subset(self, chosen: NDArray[np.bool_]) -> "Contests":
        """The contests of the chosen images, bool [images]."""
        kept = np.flatnonzero(chosen[self.image])
        return Contests(self.margins[:, kept], self.tie[kept], self.image[kept], self.lost[chosen[self.lost]])


def scores(logits: NDArray[np.float32], average: str) -> Steps:
    """The score that a model adds to each class, in whole steps, int32 [..., classes].

    probabilities: softmax in float64, rounded to steps of 2^-28, finer than float32 itself from 1/16 up. logits: minus
    the largest, rounded to steps of 2^-20; UserError if they are so far apart that the sum of seven overflows. votes: 1
    for the class with the largest logit, the lowest if tied.
    """
    if average == "votes":
        return (logits.argmax(axis=-1)[..., None] == np.arange(logits.shape[-1])).astype(np.int32)
    if average == "probabilities":
        return np.rint(np.exp(log_softmax(logits.astype(np.float64), axis=-1)) * PROBABILITY_STEPS).astype(np.int32)
    below = (logits - logits.max(axis=-1, keepdims=True)).astype(np.float64)
    if below.min() * LOGIT_STEPS * MOST_MEMBERS < -(2**31):
        apart = f"the logits of one image are {-below.min():.0f} apart, too far to be added"
        raise UserError(f"{apart}: choose task.average=probabilities")
    return np.rint(below * LOGIT_STEPS).astype(np.int32)


def contests(blocks: Iterable[Block], average: str = "probabilities") -> Contests:
    """The contests of all images; `blocks` are read one after the other."""
    found, lost, images = [], [], 0
    for logits, labels in blocks:
        added = scores(logits, average)
        found.append((added[:, 0, :0], np.empty(0, np.int32), np.empty(0, np.int64)))  # no image may have a contest
        rows, before = np.arange(len(labels)), np.arange(added.shape[-1]) < labels[:, None]
        true = added[:, rows, labels][..., None]
        open_ = np.zeros(before.shape, bool)
        for own, others in zip(true, added, strict=True):
            open_ |= own - others < before
        open_[rows, labels] = False
        for row in np.flatnonzero(open_.any(axis=1)):
            rivals = np.flatnonzero(open_[row])
            ahead, needed = true[:, row] - added[:, row, rivals], before[row, rivals].astype(np.int32)
            if (ahead < needed).all(axis=0).any():
                lost.append(images + row)
                continue
            kept = hardest(ahead, needed)
            found.append((ahead[:, kept], needed[kept], np.full(len(kept), images + row)))
        images += len(labels)
    margins, tie, image = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    return Contests(margins, tie, image, np.array(lost, np.int64))


def hardest(ahead: NDArray[np.int32], needed: NDArray[np.int32]) -> NDArray[np.int64]:
    """The contests of one image that no other contest makes redundant; the first of equal ones. ahead: [M, R]."""
    rows = np.column_stack([ahead.T, -needed])
    kept: list[int] = []
    for row in np.argsort(rows.sum(axis=1, dtype=np.int64), kind="stable"):  # the hardest first
        if not (rows[kept] <= rows[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(kept)


def count_errors(contests: Contests, members: NDArray[np.integer]) -> NDArray[np.int32]:
    """The number of images that each ensemble gets wrong, int32 [E]. members: int [E, n], positions of distinct models,
    ascending in each row, and the rows in lexicographic order; many with the same first members are fastest."""
    counts = np.full(len(members), len(contests.lost), np.int32)
    if len(members) and len(contests.tie):
        _add_errors(contests.margins, 0, -contests.tie, contests.image, members, counts)
    return counts


def _add_errors(
    margins: Steps, first: int, total: Steps, image: NDArray[np.int64], members: NDArray[np.integer], counts: Steps
) -> None:
    """Add to `counts` [E] the images that are lost once the members [E, n] have joined those with the margin sum
    `total` [C], ties subtracted. margins: [M', C] of the models from position `first` on."""
    if members.shape[1] == 1:
        last = members[:, 0] - first
        lost = (margins if len(last) == len(margins) else margins[last]) < -total
        begins = np.flatnonzero(np.r_[True, image[1:] != image[:-1]])
        if len(begins) < len(image):
            lost = np.logical_or.reduceat(lost, begins, axis=1)
        counts += np.count_nonzero(lost, axis=1).astype(np.int32)
        return
    cuts = np.flatnonzero(np.r_[True, members[1:, 0] != members[:-1, 0], True])
    remaining = members.shape[1] - 1
    bounded = len(members) >= LEAST_SHARING * (len(cuts) - 1)
    if bounded:
        least = np.minimum.accumulate(margins[::-1], axis=0)[::-1] * remaining
        most = np.maximum.accumulate(margins[::-1], axis=0)[::-1] * remaining
    for begin, end in pairwise(cuts):
        at = int(members[begin, 0]) - first
        joined, later, images = total + margins[at], margins[at + 1 :], image
        if bounded:
            settled = np.zeros(image[-1] + 1, bool)
            settled[image[joined + most[at + 1] < 0]] = True
            counts[begin:end] += np.int32(settled.sum())
            kept = np.flatnonzero((joined + least[at + 1] < 0) & ~settled[image])
            joined, later, images = joined[kept], later.take(kept, axis=1), image[kept]
        if len(images):
            _add_errors(later, first + at + 1, joined, images, members[begin:end, 1:], counts[begin:end])


def count_common_errors(right: NDArray[np.bool_], members: NDArray[np.integer]) -> NDArray[np.int32]:
    """The number of images that all members of each ensemble get wrong, int32 [E]. right: bool [M, N]."""
    bits = np.packbits(~right, axis=1)
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    common = words[members[:, 0]]
    for column in members.T[1:]:
        common &= words[column]
    return np.bitwise_count(common).sum(axis=1, dtype=np.int32)
