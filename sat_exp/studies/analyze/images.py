"""The part of an analysis that needs the prediction for every image."""

from typing import Any

import pandas as pd

from sat_exp import similarity
from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases
from sat_exp.runs import Run
from sat_exp.similarity import Predictions, agreement, draws
from sat_exp.statistics import relations
from sat_exp.studies.analyze import sampling

MODELS = ["model_a", "model_b"]


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
    sizes = sampling.rank_stability(predictions, **options, repeats=repeats, seed=seed)

    controls = agreement.agreement(predictions.names, predictions.labels, predictions.clean).drop(columns="images")
    measures = [name for name in agreement.MEASURES if controls[name].notna().any()]
    if noise is not None:
        controls = controls.merge(noise, on=MODELS)
        measures.append("noise_sat")
    given = ["accuracy_mean", "accuracy_gap"] if predictions.labels is not None else []
    controls = pairs[[*MODELS, "images", "sat"]].merge(controls, on=MODELS)
    related = relations.relation(controls, measures, given)
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
