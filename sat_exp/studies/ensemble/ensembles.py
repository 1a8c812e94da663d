"""How many images an ensemble gets wrong, exactly, for all ensembles of a pool.

Source: Hwang et al. (ECCV 2024), the study of ensembles: 1 − err(ensemble) / mean err(members) against SAT.

An ensemble adds its members' scores for each class (probabilities, logits or votes) and says the class with the largest
sum, the lowest of several. Scores are rounded once to whole steps, int32, and all that follows is arithmetic on whole
numbers: no sum depends on its order, and what is counted here is what adding up all classes would count, bit for bit.

It is quick because little of it can matter. With m_k[c] = score of the true class y − score of c under model k, an
ensemble S is right where Σ_{k∈S} m_k[c] ≥ t[c] for every c ≠ y, with t[c] = 1 where c < y and a tie is lost, else 0. A
class that every model has at m_k[c] ≥ t[c] never wins. One whose margins are nowhere below another's, and whose t is
not above, never wins alone. What is left are the `Contests`: of 69 networks × 5,000 images × 1,000 classes a few ten
thousand. Ensembles in lexicographic order share the sums of their first members, and a contest is dropped as soon as
the members still to come cannot turn it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax

from sat_exp.errors import UserError

Block = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Logits float32 [M, B, classes] of all models for some images, and the images' classes int64 [B]."""

Average = Literal["probabilities", "logits", "votes"]
PROBABILITY_STEPS = 2**28
LOGIT_STEPS = 2**20
MOST_MEMBERS = 7
"""Seven probabilities in steps of 2^-28 add up to less than 2^31."""

WORTH_BOUNDING = 6
"""Ensembles with the same first members from which on it pays to look for contests that the others cannot turn."""


@dataclass(frozen=True)
class Contests:
    """What decides whether an ensemble is right: on an image, the true class against each class that could win.

    margins: int32 [M, C], in steps, the true class above the other under each model; tie: int32 [C], 1 where a sum of 0
    is lost, else 0; image: int64 [C], ascending, the image of each contest. lost: int64 [L], the images that every
    ensemble gets wrong. images: how many there are; those in neither place every ensemble gets right.
    """

    margins: NDArray[np.int32]
    tie: NDArray[np.int32]
    image: NDArray[np.int64]
    lost: NDArray[np.int64]
    images: int

    def on(self, chosen: NDArray[np.bool_]) -> "Contests":
        """Those of the images chosen, bool [images]."""
        kept = np.flatnonzero(chosen[self.image])
        lost = self.lost[chosen[self.lost]]
        return Contests(self.margins[:, kept], self.tie[kept], self.image[kept], lost, int(chosen.sum()))


def scores(logits: NDArray[np.float32], average: str) -> NDArray[np.int32]:
    """What a model adds to each class, in whole steps, int32 [..., classes].

    probabilities: softmax in float64, rounded to steps of 2^-28, finer than float32 itself from 1/16 up. logits: less
    the largest, rounded to steps of 2^-20. votes: 1 for the class with the largest logit, the lowest of several.

    UserError where the logits of `average=logits` lie so far apart that the sums of seven would not fit.
    """
    if average == "votes":
        return (logits.argmax(axis=-1)[..., None] == np.arange(logits.shape[-1])).astype(np.int32)
    if average == "probabilities":
        return np.rint(np.exp(log_softmax(logits.astype(np.float64), axis=-1)) * PROBABILITY_STEPS).astype(np.int32)
    if average != "logits":
        raise UserError(f"task.average={average}: choose one of {', '.join(get_args(Average))}")
    below = (logits - logits.max(axis=-1, keepdims=True)).astype(np.float64)
    if below.min() * LOGIT_STEPS * MOST_MEMBERS < -(2**31):
        raise UserError(f"logits lie {-below.min():.0f} apart, too far to be added: choose task.average=probabilities")
    return np.rint(below * LOGIT_STEPS).astype(np.int32)


def contests(blocks: Iterable[Block], average: str = "probabilities") -> Contests:
    """The contests of all images; `blocks` are read one after the other."""
    margins, tie, image, lost, images = [], [], [], [], 0
    for logits, labels in blocks:
        given = scores(logits, average)
        before = np.arange(given.shape[-1]) < labels[:, None]
        true = np.take_along_axis(given, np.broadcast_to(labels[None, :, None], (len(given), len(labels), 1)), axis=2)
        open_ = np.zeros(before.shape, bool)
        for model in range(len(given)):
            open_ |= true[model] - given[model] < before
        open_[np.arange(len(labels)), labels] = False
        for row in np.flatnonzero(open_.any(axis=1)):
            rivals = np.flatnonzero(open_[row])
            ahead, needed = true[:, row] - given[:, row, rivals], before[row, rivals].astype(np.int32)
            if (ahead < needed).all(axis=0).any():
                lost.append(images + row)
                continue
            kept = hardest(ahead, needed)
            margins.append(ahead[:, kept])
            tie.append(needed[kept])
            image.append(np.full(len(kept), images + row))
        images += len(labels)
    none = np.empty(0, np.int32)
    return Contests(
        np.concatenate(margins, axis=1) if margins else np.empty((0, 0), np.int32),
        np.concatenate([none, *tie]),
        np.concatenate([none, *image]).astype(np.int64),
        np.array(lost, np.int64),
        images,
    )


def hardest(ahead: NDArray[np.int32], needed: NDArray[np.int32]) -> NDArray[np.int64]:
    """The contests of one image that no other of them makes redundant; of equal ones the first. ahead: [M, R]."""
    rows = np.column_stack([ahead.T, -needed])
    kept: list[int] = []
    for row in np.argsort(rows.sum(axis=1, dtype=np.int64), kind="stable"):  # what is harder everywhere comes first
        if not (rows[kept] <= rows[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(kept)


def wrong(found: Contests, members: NDArray[np.integer]) -> NDArray[np.int32]:
    """How many images each ensemble gets wrong, int32 [E].

    members: int [E, n], positions of distinct models, ascending in each row and the rows in lexicographic order. It is
    quickest where the rows are all the ensembles of a size, or many that begin alike.
    """
    counts = np.full(len(members), len(found.lost), np.int32)
    if len(members) and len(found.tie):
        _add(found.margins, 0, -found.tie, found.image, members, counts)
    return counts


def _add(
    margins: NDArray[np.int32],
    first: int,
    total: NDArray[np.int32],
    image: NDArray[np.int64],
    members: NDArray[np.integer],
    counts: NDArray[np.int32],
) -> None:
    """Add to `counts` [E] the images lost once the rest of the members [E, n] has joined those whose sum, less the tie,
    is `total` [C]. margins: [M', C] of the models from `first` on."""
    if members.shape[1] == 1:
        last = members[:, 0] - first
        lost = (margins if len(last) == len(margins) else margins[last]) < -total
        begins = np.flatnonzero(np.r_[True, image[1:] != image[:-1]])
        if len(begins) < len(image):
            lost = np.logical_or.reduceat(lost, begins, axis=1)
        counts += np.count_nonzero(lost, axis=1).astype(np.int32)
        return
    cuts = np.flatnonzero(np.r_[True, members[1:, 0] != members[:-1, 0], True])
    left = members.shape[1] - 1
    bounded = len(members) >= WORTH_BOUNDING * (len(cuts) - 1)
    if bounded:
        least = np.minimum.accumulate(margins[::-1], axis=0)[::-1] * left
        most = np.maximum.accumulate(margins[::-1], axis=0)[::-1] * left
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
            _add(later, first + at + 1, joined, images, members[begin:end, 1:], counts[begin:end])


def all_wrong(right: NDArray[np.bool_], members: NDArray[np.integer]) -> NDArray[np.int32]:
    """How many images all members of each ensemble get wrong, int32 [E]. right: bool [M, N]."""
    bits = np.packbits(~right, axis=1)
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    both = words[members[:, 0]]
    for column in members.T[1:]:
        both &= words[column]
    return np.bitwise_count(both).sum(axis=1, dtype=np.int32)


def ranks(models: int, size: int, most: int | None = None, *, seed: int = 0) -> NDArray[np.int64]:
    """The places in lexicographic order, ascending, of all ensembles of `size` of so many models; where those are more
    than `most`, of so many of them, drawn by `seed` without replacement. UserError for a size that there is not."""
    if not 2 <= size <= MOST_MEMBERS:
        raise UserError(f"an ensemble of {size}: choose task.sizes from 2 to {MOST_MEMBERS}")
    count = comb(models, size)
    if most is None or count <= most:
        return np.arange(count)
    rng = np.random.default_rng([seed, models, size])
    return np.sort(rng.choice(count, most, replace=False, shuffle=False))


def members(models: int, size: int, at: NDArray[np.int64]) -> NDArray[np.int16]:
    """The ensembles at these places of the lexicographic order of all of `size` of so many models, int16 [E, size]."""
    left = comb(models, size) - 1 - at
    found = np.empty((len(at), size), np.int16)
    for taken in range(size):
        ways = np.array([comb(others, size - taken) for others in range(models)])
        others = np.searchsorted(ways, left, side="right") - 1
        found[:, taken] = models - 1 - others
        left = left - ways[others]
    return found


def pair_mean(matrix: NDArray[np.float64], members: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean of a symmetric matrix [M, M] over the pairs of members, [E]; the same for any order of a row's members
    up to rounding."""
    pairs = list(combinations(members.T, 2))
    total = np.zeros(len(members))
    for one, other in pairs:
        total += matrix[one, other]
    return total / len(pairs)


def distinct(labels: NDArray[np.integer], members: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many different labels [M] an ensemble's members have, int64 [E]."""
    of = np.sort(labels[members], axis=1)
    return 1 + (of[:, 1:] != of[:, :-1]).sum(axis=1)


@dataclass(frozen=True)
class Ensembles:
    """All ensembles of one size, or a sample. members: int16 [E, size]; whole: whether they are all.

    table, a row each: size; error, the share of images it gets wrong; members_error, the mean of its members';
    reduction = 1 − error/members_error, NaN where they make no error; all_wrong, the share of images that all members
    get wrong; accuracy_gap, how far the best member's accuracy is above the worst's; sat, and whatever else tells how
    alike the members are, the mean over pairs of members; clusters, how many they come from.
    """

    members: NDArray[np.int16]
    table: pd.DataFrame
    whole: bool

    @property
    def size(self) -> int:
        return self.members.shape[1]


def described(
    members: NDArray[np.int16],
    counted: NDArray[np.int32],
    right: NDArray[np.bool_],
    similarities: Mapping[str, NDArray[np.float64]],
    clusters: NDArray[np.integer],
) -> Ensembles:
    """The ensembles of `members` from `counted`, int32 [E, 2], how many images they (`wrong`) and all their members
    (`all_wrong`) get wrong; right: bool [M, N]; similarities: [M, M] by name; clusters: int [M]."""
    models, images = right.shape
    errors = 1 - right.mean(axis=1)
    each = errors[members]
    mean = each.mean(axis=1)
    error = counted[:, 0] / images
    with np.errstate(invalid="ignore", divide="ignore"):
        reduction = np.where(mean > 0, 1 - error / mean, np.nan)
    table = pd.DataFrame(
        {
            "size": members.shape[1],
            "error": error,
            "members_error": mean,
            "reduction": reduction,
            "all_wrong": counted[:, 1] / images,
            "accuracy_gap": np.ptp(each, axis=1),
            **{name: pair_mean(matrix, members) for name, matrix in similarities.items()},
            "clusters": distinct(clusters, members),
        }
    )
    return Ensembles(members, table, len(members) == comb(models, members.shape[1]))
