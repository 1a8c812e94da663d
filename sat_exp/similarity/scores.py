"""Similarity by attack transferability (SAT): its value, its intervals, and the tables of pairs and models.

Source of the score: Hwang et al., *Similarity of Neural Architectures using Adversarial Attack Transferability*
(ECCV 2024, arXiv 2210.11407), the definition of SAT in §3. In the names below A and B are two models, x an image of
class y, and x_A, x_B its adversarial versions made on A and on B.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sat_exp.similarity.intervals import mean_rate_interval, wilson_interval

log = logging.getLogger(__name__)

SAT_FLOOR = 0.01
"""ε_s in percent: one fooled prediction among 5,000 images attacked both ways. It only keeps the logarithm defined."""

BLOCK = 256
"""Pairs whose indicators are floating point at once: a tenth of a gigabyte for 50,000 images."""

WEAK_ATTACK = 0.99
"""White-box success below which the attack is too weak for transfer from this model to be taken at face value."""


def sat(images: ArrayLike, fooled_ab: ArrayLike, fooled_ba: ArrayLike, floor: float = SAT_FLOOR) -> NDArray[np.float64]:
    """SAT(A, B) from counts, each an integer or an array of them; arrays broadcast.

    SAT(A, B) = log max(ε_s, 100 · 1/(2·|X_AB|) · Σ_{x ∈ X_AB} [1(A(x_B) ≠ y) + 1(B(x_A) ≠ y)]), natural logarithm.

    X_AB holds the images that A and B both classify correctly. `images` is |X_AB|, `fooled_ab` how many of A's
    adversarial images B gets wrong, `fooled_ba` how many of B's A gets wrong, and `floor` is ε_s in percent.
    float64 from log(floor) to log(100) ≈ 4.605; NaN where X_AB is empty.
    """
    fooled = np.asarray(fooled_ab, np.float64) + np.asarray(fooled_ba, np.float64)
    percent = 100 * _rate(fooled, 2 * np.asarray(images))
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
    names: Sequence[str],
    families: Mapping[str, str],
    labels: ArrayLike | None,
    clean: Mapping[str, ArrayLike],
    adversarial: Mapping[tuple[str, str], ArrayLike],
    *,
    shown: Mapping[tuple[str, str], ArrayLike] | None = None,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The table of pairs: one row for every unordered pair of `names` of which a direction was measured, the diagonal
    included, in the order of `names`.

    `labels`: int [N], the true classes, None where unknown. `clean`: for each model its predicted classes, int [N], of
    the clean images. `adversarial`: for each (source, target) that was measured the classes, int [N], that the target
    predicts for the source's adversarial images; −1 where the source was not attacked. `shown`: what it predicts for
    the source's clean images, where the two are not shown the same pixels; by default `clean` of the target.

    An image is fooled where the target's prediction is no longer the one it gives the source's clean image. `compare`
    says which images make X_AB: `truth`, those that both models classify as labelled; `consensus`, those on which both
    agree; both of them on the other's clean image too; `own`, all images.

    Columns: model_a, model_b, family_a, family_b; images = |X_AB|; fooled_ab and fooled_ba, counts over X_AB as in
    `sat`; transfer_rate_ab and transfer_rate_ba, those counts over |X_AB|, each with _low and _high (Wilson);
    sat, sat_low, sat_high (`sat_interval`). On the diagonal SAT is log(100 · white-box success).

    A pair without common images has NaN for every number but its counts, and is named in a warning. A direction that
    was not measured has NaN, and so has its pair's SAT.
    """
    if len(set(names)) != len(names):
        raise ValueError("a model is named twice")
    truth = None if labels is None else np.asarray(labels)
    known = {name: np.asarray(predicted) for name, predicted in clean.items()}
    rows = []
    for a, b in combinations_with_replacement(names, 2):
        if (a, b) not in adversarial and (b, a) not in adversarial:
            continue
        ways = [(source, target) for source, target in ((a, b), (b, a)) if (source, target) in adversarial]
        before = {way: known[way[1]] if shown is None else np.asarray(shown[way]) for way in ways}
        common = common_images(compare, truth, [known[a], known[b], *before.values()])
        images = int(common.sum())
        if images == 0:
            log.warning("%s and %s have no common image (labels=%s): their similarity is missing", a, b, compare)
        fooled = [_fooled(common, before.get(way), adversarial, *way) for way in ((a, b), (b, a))]
        counts = [np.nan if way is None else int(way.sum()) for way in fooled]
        both = np.nan if fooled[0] is None or fooled[1] is None else int((fooled[0] & fooled[1]).sum())
        rows.append((a, b, families[a], families[b], images, *counts, both))
    columns = ["model_a", "model_b", "family_a", "family_b", "images", "fooled_ab", "fooled_ba", "both"]
    pairs = pd.DataFrame(rows, columns=columns)
    for way in ("ab", "ba"):
        successes, trials = pairs[f"fooled_{way}"].to_numpy(), pairs["images"].to_numpy()
        pairs[f"transfer_rate_{way}"] = _rate(successes, trials)
        ends = wilson_interval(successes, trials, confidence)
        pairs[f"transfer_rate_{way}_low"], pairs[f"transfer_rate_{way}_high"] = ends
    pairs["sat"] = sat(pairs["images"], pairs["fooled_ab"], pairs["fooled_ba"], floor)
    one = pairs["fooled_ab"] + pairs["fooled_ba"] - 2 * pairs["both"]
    neither = pairs["images"] - pairs["both"] - one
    pairs["sat_low"], pairs["sat_high"] = sat_interval(pairs["both"], one, neither, floor=floor, confidence=confidence)
    return pairs[[*columns[:7], *(c for c in pairs if c.startswith("transfer")), "sat", "sat_low", "sat_high"]]


def common_images(
    compare: str, truth: NDArray[np.integer] | None, clean: Sequence[NDArray[np.integer]]
) -> NDArray[np.bool_]:
    """X_AB as a mask, bool [N], from the true classes and all clean predictions of A and B, each int [N]."""
    shapes = {predicted.shape for predicted in clean} | ({truth.shape} if truth is not None else set())
    if len(shapes) > 1:
        raise ValueError(f"clean predictions and labels are of different shapes: {', '.join(map(str, sorted(shapes)))}")
    if compare == "own":
        return np.ones(clean[0].shape, dtype=bool)
    wanted = clean[0] if compare == "consensus" else truth
    return np.all([predicted == wanted for predicted in clean], axis=0)


def indicators(
    names: Sequence[str],
    labels: ArrayLike | None,
    clean: Mapping[str, ArrayLike],
    adversarial: Mapping[tuple[str, str], ArrayLike],
    *,
    shown: Mapping[tuple[str, str], ArrayLike] | None = None,
    compare: str = "truth",
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """What SAT of any draw of images is computed from: the places among `names` of the two models of every pair that
    was measured both ways, the diagonal included, int64 [P, 2]; which images are in X_AB, uint8 [P, N]; and on how many
    of the two ways they are fooled, uint8 [P, N]. Arguments as of `score`."""
    truth = None if labels is None else np.asarray(labels)
    known = {name: np.asarray(clean[name]) for name in names}
    pairs, common, fooled = [], [], []
    for (place, a), (other, b) in combinations_with_replacement(enumerate(names), 2):
        ways = (a, b), (b, a)
        if not all(way in adversarial for way in ways):
            continue
        before = {way: known[way[1]] if shown is None else np.asarray(shown[way]) for way in ways}
        inside = common_images(compare, truth, [known[a], known[b], *before.values()])
        found = np.array([_fooled(inside, before[way], adversarial, *way) for way in ways])
        pairs.append((place, other))
        common.append(inside.astype(np.uint8))
        fooled.append(found.sum(axis=0, dtype=np.uint8))
    images = len(known[names[0]])
    return (
        np.array(pairs, np.int64).reshape(-1, 2),
        np.array(common, np.uint8).reshape(-1, images),
        np.array(fooled, np.uint8).reshape(-1, images),
    )


def weighted_sat(
    common: NDArray[np.uint8],
    fooled: NDArray[np.uint8],
    weights: NDArray[np.integer] | NDArray[np.bool_],
    floor: float = SAT_FLOOR,
) -> NDArray[np.float64]:
    """SAT of P pairs, float64 [R, P], where image n counts `weights`[r, n] ≥ 0 times; NaN where a pair is left without
    images. `common`, `fooled`: as `indicators` gives them, [P, N]."""
    return sat(*weighted_counts(common, fooled, weights), 0, floor)


def weighted_counts(
    common: NDArray[np.uint8], fooled: NDArray[np.uint8], weights: NDArray[np.integer] | NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """|X_AB| and how often its images are fooled, on both ways together, of P pairs, float64 [R, P] each; arguments as
    of `weighted_sat`.

    Counts are sums of 0, 1 and 2 in 32 bits, exact up to 2²⁴.
    """
    counts = weights.T.astype(np.float32)
    images, hits = (np.empty((len(weights), len(common))) for _ in range(2))
    for start in range(0, len(common), BLOCK):
        block = slice(start, start + BLOCK)
        for whole, part in ((images, common), (hits, fooled)):
            whole[:, block] = (part[block].astype(np.float32) @ counts).T
    return images, hits


def matrix(pairs: pd.DataFrame) -> pd.DataFrame:
    """The symmetric matrix of SAT, float64 [M, M], from the table of pairs; models in the table's order.

    A pair that the table lacks is NaN.
    """
    models = list(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]))
    place = {model: position for position, model in enumerate(models)}
    row, column = pairs["model_a"].map(place), pairs["model_b"].map(place)
    values = np.full((len(models), len(models)), np.nan)
    values[row, column] = values[column, row] = pairs["sat"]
    return pd.DataFrame(values, index=models, columns=models)


def model_rates(
    labels: ArrayLike | None,
    clean: ArrayLike,
    white_box: ArrayLike | None,
    *,
    confidence: float = 0.95,
) -> dict[str, int | float | bool]:
    """What one model's own predictions say of it: the columns of the table of models that are rates and counts.

    `labels`, `clean`: int [N] as in `score`; `white_box`: int [N], the model's predictions for its own adversarial
    images, −1 where it was not attacked; None for a model that was only a target. images = N; clean_correct,
    clean_accuracy, NaN without labels; attacked; fooled = those attacked whose prediction changed; white_box_success =
    fooled/attacked; rates with Wilson intervals (_low, _high); weak_attack: white_box_success is below 0.99. Without
    an image to attack the success is NaN and not called weak.
    """
    predicted = np.asarray(clean)
    correct = np.nan if labels is None else int((predicted == np.asarray(labels)).sum())
    attempts = np.full(predicted.shape, -1) if white_box is None else np.asarray(white_box)
    if attempts.shape != predicted.shape or (labels is not None and np.asarray(labels).shape != predicted.shape):
        raise ValueError("labels, clean and white-box predictions are not of the same images")
    attacked = int((attempts >= 0).sum())
    fooled = int(((attempts >= 0) & (attempts != predicted)).sum())
    success = float(_rate(fooled, attacked))
    accuracy_ends = wilson_interval(correct, predicted.size, confidence)
    success_ends = wilson_interval(fooled, attacked, confidence)
    return {
        "images": int(predicted.size),
        "clean_correct": correct,
        "clean_accuracy": float(_rate(correct, predicted.size)),
        "clean_accuracy_low": float(accuracy_ends[0]),
        "clean_accuracy_high": float(accuracy_ends[1]),
        "attacked": attacked,
        "fooled": fooled,
        "white_box_success": success,
        "white_box_success_low": float(success_ends[0]),
        "white_box_success_high": float(success_ends[1]),
        "weak_attack": success < WEAK_ATTACK,
    }


def _rate(successes: ArrayLike, trials: ArrayLike) -> NDArray[np.float64]:
    """successes/trials, NaN where there are no trials."""
    with np.errstate(invalid="ignore"):
        return np.asarray(successes, np.float64) / np.asarray(trials, np.float64)


def _fooled(
    common: NDArray[np.bool_],
    clean: NDArray[np.integer] | None,
    adversarial: Mapping[tuple[str, str], ArrayLike],
    source: str,
    target: str,
) -> NDArray[np.bool_] | None:
    """Which images of X_AB the source's adversarial versions make the target change its mind about; None where that
    was not measured."""
    if clean is None:
        return None
    predicted = np.asarray(adversarial[source, target])
    if predicted.shape != clean.shape:
        raise ValueError(
            f"{source} → {target}: adversarial predictions of shape {predicted.shape} for images of shape {clean.shape}"
        )
    if missing := int((common & (predicted < 0)).sum()):
        raise ValueError(f"{source} → {target}: {missing} attacked images have no prediction of {target}")
    return common & (predicted != clean)
