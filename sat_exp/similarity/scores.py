"""Similarity by attack transferability (SAT) from predicted classes: its value, its intervals, the tables of pairs and
models.

Source of the score: Hwang et al., *Similarity of Neural Architectures using Adversarial Attack Transferability*
(ECCV 2024, arXiv 2210.11407), the definition of SAT in §3. In the names below A and B are two models, x an image of
class y, and x_A, x_B its adversarial versions made on A and on B.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sat_exp.similarity.intervals import mean_rate_interval, rate, rate_columns

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Classes = NDArray[np.integer]  # a class per image, int [N]
DIRECTIONS = (("a", "b"), ("b", "a"))

SAT_FLOOR = 0.01
"""ε_s in percent: one fooled prediction in 5,000 images attacked in both directions. It keeps the logarithm defined."""

BLOCK = 256  # pairs whose indicators are floating point at the same time: 0.1 GB for 50,000 images
WEAK_ATTACK = 0.99  # white-box success below which an attack is too weak for the transfer from this model to be trusted


@dataclass(frozen=True)
class Predictions:
    """The classes that models predict for the same N images, clean and attacked; each array is int [N].

    labels: the true classes, None where they are unknown.
    clean: per model, its predictions for the clean images.
    adversarial: per (source, target), the target's predictions for the source's adversarial images, −1 where the source
    was not attacked.
    reference: per (source, target), the target's predictions for the source's clean images. Needed only where the two
    models take different pixels; the default is the target's `clean`.
    goals: per source of a targeted attack, the class that the attack leads to, −1 where the source was not attacked.
    """

    names: Sequence[str]
    labels: Classes | None
    clean: Mapping[str, Classes]
    adversarial: Mapping[tuple[str, str], Classes]
    reference: Mapping[tuple[str, str], Classes] = field(default_factory=dict)
    goals: Mapping[str, Classes] = field(default_factory=dict)

    def unattacked(self, source: str, target: str) -> Classes:
        """The target's predictions for the source's clean images."""
        return self.reference.get((source, target), self.clean[target])


def fooled(predicted: Classes, clean: Classes, goals: Classes | None = None) -> NDArray[np.bool_]:
    """Whether an adversarial image fools a model, bool [N], from the model's predictions for it and the clean image.

    An untargeted attack fools the model where the prediction changes. A targeted attack, which has `goals`, fools it
    where the prediction becomes the goal class and was another class before. Arrays of one shape; images that were not
    attacked are the caller's to leave out.
    """
    return predicted != clean if goals is None else (predicted == goals) & (clean != goals)


def sat(images: ArrayLike, fooled_ab: ArrayLike, fooled_ba: ArrayLike, floor: float = SAT_FLOOR) -> NDArray[np.float64]:
    """SAT(A, B) from counts, each an integer or an array of them; arrays broadcast.

    SAT(A, B) = log max(ε_s, 100 · 1/(2·|X_AB|) · Σ_{x ∈ X_AB} [1(A(x_B) ≠ y) + 1(B(x_A) ≠ y)]), natural logarithm.

    X_AB holds the images that A and B both classify correctly. `images` is |X_AB|, `fooled_ab` how many of A's
    adversarial images B gets wrong, `fooled_ba` how many of B's A gets wrong, and `floor` is ε_s in percent.
    float64 from log(floor) to log(100) ≈ 4.605; NaN where X_AB is empty.
    """
    hits = np.asarray(fooled_ab, np.float64) + np.asarray(fooled_ba, np.float64)
    percent = 100 * rate(hits, 2 * np.asarray(images))
    return np.log(np.maximum(percent, floor))


def sat_interval(
    both: ArrayLike, one: ArrayLike, neither: ArrayLike, *, floor: float = SAT_FLOOR, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of SAT from counts of images: lower and upper ends, float64; NaN without images.

    `both`, `one` (A → B or B → A alone) and `neither` count the images of X_AB by how many of the two attacks succeeded
    on them; whole numbers or not, arrays broadcast. The ends are those of `mean_rate_interval`, in percent, no less
    than `floor`, as logarithms.
    """
    ends = mean_rate_interval(both, one, neither, confidence)
    low, high = (np.log(np.maximum(100 * end, floor)) for end in ends)
    return low, high


def score(
    predictions: Predictions,
    families: Mapping[str, str],
    *,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The table `pairs`: one row per unordered pair of models that was measured in a direction, self-pairs included.

    families: by model. compare: chooses X_AB, whose size is in the column `images`: `truth`, the images that both
    models classify as labelled; `consensus`, those on which both agree; `own`, all. For the first two, `reference`
    predictions must fulfil the condition too. Intervals of rates are Wilson's. On the diagonal SAT is
    log(100 · white-box success).

    A pair without common images has NaN for every number but its counts, and is named in a warning. A direction that
    was not measured is NaN, and so is SAT of its pair. ValueError for incomplete predictions.
    """
    rows = []
    for a, b in combinations_with_replacement(predictions.names, 2):
        if (a, b) not in predictions.adversarial and (b, a) not in predictions.adversarial:
            continue
        common, ab, ba = masks(predictions, a, b, compare)
        if not common.any():
            log.warning("%s and %s have no common image (labels=%s): their similarity is missing", a, b, compare)
        both = None if ab is None or ba is None else ab & ba
        counts = [np.nan if fools is None else int(fools.sum()) for fools in (common, ab, ba, both)]
        rows.append((a, b, families[a], families[b], *counts))
    columns = ["model_a", "model_b", "family_a", "family_b", "images", "fooled_ab", "fooled_ba", "both"]
    pairs = pd.DataFrame(rows, columns=columns)
    for way in ("ab", "ba"):
        pairs = pairs.assign(
            **rate_columns(f"transfer_rate_{way}", pairs[f"fooled_{way}"], pairs["images"], confidence)
        )
    both = pairs.pop("both")
    pairs["sat"] = sat(pairs["images"], pairs["fooled_ab"], pairs["fooled_ba"], floor)
    one = pairs["fooled_ab"] + pairs["fooled_ba"] - 2 * both
    ends = sat_interval(both, one, pairs["images"] - both - one, floor=floor, confidence=confidence)
    return pairs.assign(sat_low=ends[0], sat_high=ends[1])


def masks(predictions: Predictions, a: str, b: str, compare: str) -> tuple[Mask, Mask | None, Mask | None]:
    """X_AB, and the images of it on which A's adversarial images fool B, and B's fool A; bool [N] each. A direction
    that was not measured is None. ValueError for predictions of other images, or that lack some."""
    ways = (a, b), (b, a)
    unattacked = [predictions.unattacked(*way) for way in ways if way in predictions.adversarial]
    common = common_images(compare, predictions.labels, [predictions.clean[a], predictions.clean[b], *unattacked])
    ab, ba = (_fooled(predictions, *way, common) if way in predictions.adversarial else None for way in ways)
    return common, ab, ba


def common_images(compare: str, truth: Classes | None, clean: Sequence[Classes]) -> Mask:
    """X_AB as a mask, bool [N], from the true classes and all clean predictions of A and B, int [N] each."""
    if compare == "own":
        return np.ones(clean[0].shape, dtype=bool)
    wanted = clean[0] if compare == "consensus" else truth
    return np.all([predicted == wanted for predicted in clean], axis=0)


def indicators(
    predictions: Predictions, *, compare: str = "truth"
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """The pairs that were measured both ways, and what SAT of any draw of images is computed from. Three arrays: the
    positions in `predictions.names` of the P pairs' models, the diagonal included, int64 [P, 2]; whether an image is in
    X_AB, uint8 [P, N]; and in how many of the two directions it is fooled, uint8 [P, N]."""
    names = predictions.names
    pairs, common, fools = [], [], []
    for (position, a), (other, b) in combinations_with_replacement(enumerate(names), 2):
        inside, ab, ba = masks(predictions, a, b, compare)
        if ab is None or ba is None:
            continue
        pairs.append((position, other))
        common.append(inside.astype(np.uint8))
        fools.append(ab.astype(np.uint8) + ba)
    images = len(predictions.clean[names[0]])
    return (
        np.array(pairs, np.int64).reshape(-1, 2),
        np.array(common, np.uint8).reshape(-1, images),
        np.array(fools, np.uint8).reshape(-1, images),
    )


def weighted_sat(
    common: NDArray[np.uint8],
    fooled: NDArray[np.uint8],
    weights: NDArray[np.integer] | Mask,
    floor: float = SAT_FLOOR,
) -> NDArray[np.float64]:
    """SAT of P pairs, float64 [R, P], where image n counts `weights`[r, n] ≥ 0 times; NaN for a pair without images.
    common, fooled: uint8 [P, N] of `indicators`."""
    return sat(*weighted_counts(common, fooled, weights), 0, floor)


def weighted_counts(
    common: NDArray[np.uint8], fooled: NDArray[np.uint8], weights: NDArray[np.integer] | Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """|X_AB| of P pairs, and the sum of their two counts of fooled images, float64 [R, P] each; arguments as for
    `weighted_sat`. Counts are sums of 0, 1 and 2 in 32 bits, exact up to 2²⁴."""
    counts = weights.T.astype(np.float32)
    images, hits = (np.empty((len(weights), len(common))) for _ in range(2))
    for start in range(0, len(common), BLOCK):
        block = slice(start, start + BLOCK)
        for whole, part in ((images, common), (hits, fooled)):
            whole[:, block] = (part[block].astype(np.float32) @ counts).T
    return images, hits


def matrix(pairs: pd.DataFrame) -> pd.DataFrame:
    """The symmetric matrix of SAT, float64 [M, M], from the table of pairs; models in the table's order. Pairs that are
    not in the table are NaN."""
    return square(pairs, "sat")


def square(pairs: pd.DataFrame, upper: str, lower: str | None = None) -> pd.DataFrame:
    """[M, M], models in the order of the pairs: column `upper` at (a, b), column `lower`, by default the same, at
    (b, a); NaN for a missing pair."""
    models = pd.Index([*pairs["model_a"], *pairs["model_b"]]).unique()
    a, b = models.get_indexer(pairs["model_a"]), models.get_indexer(pairs["model_b"])
    values = np.full((len(models), len(models)), np.nan)
    values[b, a] = pairs[lower or upper]
    values[a, b] = pairs[upper]
    return pd.DataFrame(values, index=models, columns=models)


def model_rates(
    labels: ArrayLike | None,
    clean: ArrayLike,
    white_box: ArrayLike | None,
    *,
    goals: ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, int | float | bool]:
    """Counts and rates of one model, from its own predictions: columns of the table `models`.

    `labels`, `clean`, `goals`: int [N] as in `Predictions`. `white_box`: int [N], the model's predictions for its own
    adversarial images, −1 where it was not attacked; None for a model that was only a target. Rates are NaN where they
    are of nothing, and have Wilson's intervals.
    """
    predicted = np.asarray(clean)
    correct = np.nan if labels is None else int((predicted == np.asarray(labels)).sum())
    answers = np.full(predicted.shape, -1) if white_box is None else np.asarray(white_box)
    attacked = answers >= 0
    fools = attacked & fooled(answers, predicted, None if goals is None else np.asarray(goals))
    accuracy = rate_columns("clean_accuracy", correct, predicted.size, confidence)
    success = rate_columns("white_box_success", fools.sum(), attacked.sum(), confidence)
    return {
        "images": predicted.size,
        "clean_correct": correct,
        **{name: float(value) for name, value in accuracy.items()},
        "attacked": int(attacked.sum()),
        "fooled": int(fools.sum()),
        **{name: float(value) for name, value in success.items()},
        "weak_attack": bool(success["white_box_success"] < WEAK_ATTACK),
    }


def _fooled(predictions: Predictions, source: str, target: str, common: Mask) -> Mask:
    """The images of X_AB on which the source's adversarial versions fool the target, bool [N]."""
    predicted, clean = predictions.adversarial[source, target], predictions.unattacked(source, target)
    if missing := int((common & (predicted < 0)).sum()):
        raise ValueError(f"{source} → {target}: {missing} attacked images have no prediction of {target}")
    return common & fooled(predicted, clean, predictions.goals.get(source))


def between_models(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of two different models."""
    return pairs[pairs["model_a"] != pairs["model_b"]]


def transfer_rates(pairs: pd.DataFrame) -> pd.DataFrame:
    """source, target, rate: every measured transfer between two different models, from a table of pairs: first those
    from model_a to model_b, then those back."""
    between = between_models(pairs)
    columns = ["source", "target", "rate"]
    ways = [
        between[[f"model_{a}", f"model_{b}", f"transfer_rate_{a}{b}"]].set_axis(columns, axis=1) for a, b in DIRECTIONS
    ]
    return pd.concat(ways, ignore_index=True).dropna(subset="rate")
