"""The part of an analysis that needs the prediction for every image: controls, and SAT from fewer images."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.progress import progress
from sat_exp.runs import Run
from sat_exp.similarity import Predictions, agreement, draws
from sat_exp.similarity.scores import SAT_FLOOR, indicators, sat, weighted_sat
from sat_exp.statistics.hubs import nearest_columns
from sat_exp.statistics.relations import relation
from sat_exp.statistics.resampling import percentile_interval

Array = NDArray[np.float64]

MODELS = ["model_a", "model_b"]
RESAMPLES = 1000  # draws of models for the intervals of correlations


def analysed(
    run: Run, pairs: pd.DataFrame, predictions: Predictions, control: Run | None, repeats: int, seed: int
) -> tuple[list[pd.DataFrame], dict[str, pd.DataFrame]]:
    """SAT matrices of `repeats` other draws of images; the tables `sample_size`, `controls` and `controls_and_sat`.

    control: a run with attack=noise. UserError where it does not fit, or predictions are incomplete.
    """
    run.require("settings.labels", "settings.score.floor")
    check_predictions(run, predictions, pairs)
    settings = run.summary["settings"]
    options: dict[str, Any] = {"compare": settings["labels"], "floor": settings["score"]["floor"]}
    noise = None if control is None else noise_scores(control, predictions, run.summary)
    resampled = draws.resampled(predictions, **options, resamples=repeats, seed=seed)
    matrices = [draw.rename(index=aliases(CONF), columns=aliases(CONF)) for draw in resampled]
    numbers = grid(len(predictions.clean[predictions.names[0]]))
    with progress("sizes", len(numbers)) as bar:
        sizes = rank_stability(predictions, numbers, **options, repeats=repeats, seed=seed, advance=bar)

    controls = agreement.agreement(predictions.names, predictions.labels, predictions.clean).drop(columns="images")
    measures = [name for name in agreement.MEASURES if controls[name].notna().any()]
    if noise is not None:
        controls = controls.merge(noise, on=MODELS)
        measures.append("noise_sat")
    given = ["accuracy_mean", "accuracy_gap"] if predictions.labels is not None else []
    controls = pairs[[*MODELS, "images", "sat"]].merge(controls, on=MODELS)
    with progress("relations", len(measures) * (1 + bool(given))) as bar:
        related = relation(controls, measures, given, resamples=RESAMPLES, advance=bar)
    return matrices, {"sample_size": sizes, "controls": controls, "controls_and_sat": related}


def check_predictions(run: Run, predictions: Predictions, pairs: pd.DataFrame) -> None:
    """UserError where predictions are of other models than `pairs`, or incomplete for the score of a pair."""
    place, labels = run.folder / "predictions.npz", run.summary["settings"]["labels"]
    if set(predictions.names) != {*pairs["model_a"], *pairs["model_b"]}:
        raise UserError(f"{place} is of other models than tables/pairs: run its command again")
    if labels == "truth" and predictions.labels is None:
        raise UserError(f"{place} has no labels, and settings.labels is truth: run its command again")
    measured = pairs.dropna(subset="sat")
    ways = {*zip(measured["model_a"], measured["model_b"], strict=True)}
    if missing := sorted((ways | {(b, a) for a, b in ways}) - predictions.adversarial.keys()):
        raise UserError(f"{place} has no predictions of {' to '.join(missing[0][::-1])}: run its command again")
    for (source, target), predicted in predictions.adversarial.items():
        attacked = slice(None) if labels != "truth" else predictions.clean[source] == predictions.labels
        if (predicted[attacked] < 0).any():
            raise UserError(f"{place} lacks predictions of {target} for {source}: run its command again")


def noise_scores(control: Run, predictions: Predictions, summary: dict[str, Any]) -> pd.DataFrame:
    """model_a, model_b, noise_sat, noise_rate_ab and noise_rate_ba: the scores of random perturbations.

    predictions, summary: of the matrix. On one canvas the perturbations do not depend on the model. UserError where the
    control lacks a model, or differs in attack, images, norm, epsilon or labels.
    """
    noisy, own, place = control.predictions(), control.summary, control.folder
    if noisy is None:
        raise UserError(f"{place} holds no predictions.npz: give task.control=FOLDER of a run with attack=noise")
    control.require("dataset.digest", "attack.name", "attack.epsilon", "settings.labels")
    same_images = len(noisy.clean[noisy.names[0]]) == len(predictions.clean[predictions.names[0]])
    if own["dataset"]["digest"] != summary["dataset"]["digest"] or not same_images:
        raise UserError(f"{place} is of other images than the matrix: run it with the same dataset settings")
    if own["attack"]["name"] != "noise":
        raise UserError(f"{place} was made with attack={own['attack']['name']}: give a run with attack=noise")
    settings = summary["settings"]
    if budget(own) != budget(summary) or own["settings"]["labels"] != settings["labels"]:
        raise UserError(f"{place} has another norm, epsilon or labels= than the matrix: give both runs the same")
    if settings["protocol"] != "canvas":
        raise UserError("noise is a control on one canvas only: measure the matrix with protocol=canvas")
    names = predictions.names
    if missing := [name for name in names if (name, name) not in noisy.adversarial]:
        raise UserError(f"{place} lacks {missing[0]}: run it with the matrix's pool=")
    adversarial = {(a, b): noisy.adversarial[b, b] for a in names for b in names}
    scored = similarity.score(
        Predictions(names, predictions.labels, predictions.clean, adversarial, goals=predictions.goals),
        dict.fromkeys(names, ""),
        compare=settings["labels"],
        floor=settings["score"]["floor"],
    )
    columns = {"sat": "noise_sat", "transfer_rate_ab": "noise_rate_ab", "transfer_rate_ba": "noise_rate_ba"}
    return scored.rename(columns=columns)[[*MODELS, *columns.values()]]


def budget(summary: dict[str, Any]) -> tuple[str, float]:
    """Norm and epsilon of a run's attack; runs of earlier versions state no norm, which is L∞."""
    attack = summary["attack"]
    return attack.get("threat", {}).get("norm", "linf"), attack["epsilon"]


def rank_stability(
    predictions: Predictions,
    sizes: Sequence[int] | None = None,
    *,
    repeats: int = 100,
    compare: str = "truth",
    floor: float = SAT_FLOOR,
    seed: int = 0,
    advance: Callable[[int], object] = lambda sizes: None,
) -> pd.DataFrame:
    """The table `sample_size`: agreement of SAT from fewer images with SAT from all, over the pairs of distinct models.

    compare, floor: as for `similarity.score`; pairs not measured both ways are left out. sizes: how many images to draw
    without replacement, `repeats` times each; None for those of `grid`. The table has means over the repeats in which
    the measure is defined. advance: is called after every size. UserError for fewer than three known pairs.

    - spearman, kendall: rank correlation over pairs with SAT from all images
    - spearman_disjoint: with SAT from as many other images. It does not become perfect with the number of images
    - same_nearest: share of models with the same most similar other model
    - missing: share of pairs without a common image among those drawn; the other measures leave them out
    """
    pairs, common, fooled = indicators(predictions, compare=compare)
    pairs, common, fooled = (part[pairs[:, 0] != pairs[:, 1]] for part in (pairs, common, fooled))
    images = common.shape[1]
    if (ranked := int(common.any(axis=1).sum())) < 3:
        raise UserError(f"{ranked} pairs are measured both ways, where 3 are needed: measure more models")
    whole = sat(common.sum(axis=1), fooled.sum(axis=1), 0, floor)
    models = len(predictions.names)
    nearest = _nearest(whole, pairs, models)
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for size in grid(images) if sizes is None else sizes:
        places = np.array([rng.permutation(images) for _ in range(repeats)])
        chosen = weighted_sat(common, fooled, places < size, floor)
        same = [(_nearest(part, pairs, models) == nearest)[nearest >= 0].mean() for part in chosen]
        errors = np.abs(chosen - whole)
        known = [row[np.isfinite(row)] for row in errors]
        measures = pd.DataFrame(
            {
                "spearman": [_correlation(spearmanr, part, whole) for part in chosen],
                "kendall": [_correlation(kendalltau, part, whole) for part in chosen],
                "same_nearest": same,
                "mean_absolute_error": [row.mean() if row.size else np.nan for row in known],
                "missing": np.isnan(errors).mean(axis=1),
            }
        )
        if 2 * size <= images:
            others = weighted_sat(common, fooled, (places >= size) & (places < 2 * size), floor)
            measures["spearman_disjoint"] = [
                _correlation(spearmanr, *both) for both in zip(chosen, others, strict=True)
            ]
        low, high = percentile_interval(measures)
        rows += zip([size] * len(low), measures, measures.mean(), low, high, measures.count(), strict=True)
        advance(1)
    return pd.DataFrame(rows, columns=["images", "measure", "value", "low", "high", "repeats"])


def grid(images: int) -> list[int]:
    """10, 20, 50, 100, ... below `images`, then `images`."""
    steps = [lead * 10**power for power in range(1, len(str(images)) + 1) for lead in (1, 2, 5)]
    return [*(step for step in steps if step < images), images]


def _correlation(statistic: Callable[[Array, Array], Any], one: Array, other: Array) -> float:
    """A rank correlation over the pairs known to both; NaN for fewer than three pairs, or where either is constant."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(statistic(one, other).statistic)


def _nearest(scores: Array, pairs: NDArray[np.int64], models: int) -> NDArray[np.int64]:
    """The most similar other model of each, int [M], from the SAT of pairs [P]; −1 where no pair of it is known."""
    square = np.full((models, models), np.nan)
    square[pairs[:, 0], pairs[:, 1]] = square[pairs[:, 1], pairs[:, 0]] = scores
    return nearest_columns(square, 1)[:, 0]
