"""task=pick: the members of an ensemble, or a surrogate to attack, chosen from a pool."""

import statistics
import timeit
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from pydantic import Field

from sat_exp import similarity
from sat_exp.ensembles import selection
from sat_exp.ensembles.contests import MOST_MEMBERS, Average, contests
from sat_exp.ensembles.members import members_of, ranks
from sat_exp.ensembles.pool import Pool, blocks, costs_of, counted
from sat_exp.ensembles.selection import Limits
from sat_exp.errors import UserError
from sat_exp.measurement import Measured, Measurement
from sat_exp.models import Candidate, Configured
from sat_exp.settings.types import Count, Draws, FileName, Positive, Repeats, Share
from sat_exp.similarity import Predictions, draws
from sat_exp.studies.pick import choices, findings, surrogates
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded

Purpose = Literal["ensemble", "surrogate"]
REPEATS = 20  # timings of one image, whose median is the latency
Members = Annotated[int, Field(ge=2, le=MOST_MEMBERS)]


def models_of(config: DictConfig) -> list[DictConfig]:
    """The models of the pool, and the target of the surrogates, if there is one."""
    models = composing.models(config)
    return models if config.target is None else composing.distinct([*models, config.target])


def check(config: DictConfig, *, purpose: str, size: int, least_accuracy: float | None, **rest: Any) -> None:
    """UserError if the pool, the labels and the settings do not fit together."""
    if config.pool is None:
        raise UserError("task=pick chooses from several models: give pool=NAME, or pool=any 'pool.models=[A,B,C]'")
    models = models_of(config)
    if purpose == "ensemble":
        if config.target is not None:
            raise UserError("model@target= is for task.purpose=surrogate: leave it out")
        if size >= len(models):
            raise UserError(f"task.size={size}: give less than the {len(models)} models of the pool")
        if config.labels != "truth" and least_accuracy is not None:
            raise UserError(f"task.least_accuracy needs labels: give labels=truth instead of labels={config.labels}")
    elif len(models) < 3:
        raise UserError(f"the pool has {len(models)} models: give two sources and a target, or more")
    measuring.check(config, models)
    if purpose == "ensemble":
        limits = Limits.stated(None, parameters=rest["most_parameters"], flops=rest["most_flops"])
        limits.check([size], [Configured(model) for model in composing.models(config)])


def run(
    config: DictConfig,
    *,
    name: FileName,
    purpose: Purpose,
    size: Members,
    average: Average,
    splits: Repeats,
    candidates: Count,
    least_accuracy: Share | None,
    most_parameters: Positive | None,
    most_flops: Positive | None,
    most_latency: Positive | None,
    resamples: Draws,
) -> None:
    """Measure the pool, choose from it and write the study; conf/task/pick.yaml explains the settings."""
    models, target = models_of(config), None if config.target is None else config.target.name
    measurement = measuring.prepared(config)
    images = measurement.images
    ways = None if target is None else {(model.name, target) for model in models if model.name != target}
    what = f"an ensemble of {size}" if purpose == "ensemble" else f"a surrogate for {target or 'the other models'}"
    title = f"The choice of {what} from {len(config.pool.models)} models, on {len(images)} images of {images.name}"
    seconds = None if most_latency is None else most_latency / 1000
    limits = Limits.stated(least_accuracy, parameters=most_parameters, flops=most_flops, latency=seconds)
    with recorded(config, title, tags=[images.name]) as recording:
        measured, examples = measuring.with_examples(measurement, models, ways)
        tables = measuring.tabulate(measured, measurement, config) | examples.tables
        predictions = measured.predicted(images.labels)
        with measurement.timed("choice"):
            if purpose == "surrogate":
                tables["surrogates"] = surrogates_of(predictions, tables["models"], target, config)
            elif config.labels == "truth":
                tables["ensemble_choices"] = by_errors(measured, measurement, tables["pairs"], limits, config)
            else:
                tables["least_similar"] = by_sat(measured, measurement, tables["pairs"], limits, config)
        facts = measuring.facts(measurement, measured) | {"findings": findings.sentences(tables, target)}
        drawn = recording.finish(facts, tables, examples.pictures, predictions)
    results.show(recording.summary, findings.printed(tables, title), drawn.page)
    measuring.refuse(measured.failures)


def surrogates_of(
    predictions: Predictions, models: pd.DataFrame, target: str | None, config: DictConfig
) -> pd.DataFrame:
    """The table `surrogates`. models: the table of that name."""
    targets = predictions.names if target is None else [target]
    score, resamples = config.score, config.task.resamples
    settings = {"compare": config.labels, "confidence": score.confidence, "seed": score.seed, "resamples": resamples}
    success = models.rename(columns={"model": "source"})[["source", "white_box_success"]]
    return surrogates.ranked(predictions, targets, **settings).merge(success, on="source")


def by_errors(
    measured: Measured, measurement: Measurement, pairs: pd.DataFrame, limits: Limits, config: DictConfig
) -> pd.DataFrame:
    """The table `ensemble_choices`, for images with labels."""
    task, score, labels = config.task, config.score, np.asarray(measurement.images.labels)
    sat = similarity.matrix(pairs)
    right = np.array([model.clean == labels for model in measured.models])
    pool = Pool(right, limited_costs(measured, measurement, limits), sat, clusters=np.zeros(len(sat), int))
    limits.sizes([task.size], pool.accuracy, pool.costs)
    logits = [model.logits for model in measured.models]
    of_pool = contests(blocks(logits, labels), task.average)
    ensembles = counted(pool, logits, of_pool, task.size, task.average, task.candidates, measurement)
    some_within(limits.allow(ensembles.members, pool.accuracy, pool.costs))
    halves = selection.halves(len(labels), task.splits, config.seed)
    predictions = measured.predicted(labels)
    sats = draws.weighted(predictions, halves.astype(int), compare=config.labels, floor=score.floor)
    drawing = {"resamples": task.resamples, "confidence": score.confidence, "seed": score.seed}
    return choices.compared(ensembles, pool, of_pool, halves, sats, limits, **drawing)


def by_sat(
    measured: Measured, measurement: Measurement, pairs: pd.DataFrame, limits: Limits, config: DictConfig
) -> pd.DataFrame:
    """The table `least_similar`, for images without labels."""
    task, score = config.task, config.score
    sat = similarity.matrix(pairs)
    accuracy, costs = np.ones(len(sat)), limited_costs(measured, measurement, limits)
    limits.sizes([task.size], accuracy, costs)
    members = members_of(len(sat), task.size, ranks(len(sat), task.size, task.candidates, seed=config.seed))
    members = members[some_within(limits.allow(members, accuracy, costs))]
    settings = {"compare": config.labels, "floor": score.floor, "seed": score.seed, "resamples": task.resamples}
    drawn = draws.resampled(measured.predicted(measurement.images.labels), **settings)
    return choices.least_similar(members, sat, drawn, costs, score.confidence)


def some_within(allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`allowed`, of the ensembles to choose from; UserError if none is, as these may be a sample."""
    if not allowed.any():
        drawn = f"none of the {len(allowed)} ensembles drawn is within the limits"
        raise UserError(f"{drawn}, although others are: give a larger task.candidates, or wider limits")
    return allowed


def limited_costs(measured: Measured, measurement: Measurement, limits: Limits) -> pd.DataFrame:
    """parameters, flops and latency in seconds, one row per model; the latency is measured only where it is limited."""
    costs = costs_of(measured.models)
    if "latency" in limits.most:
        costs["latency"] = [latency(model.candidate, measurement.hardware.device) for model in measured.models]
    return costs


def latency(candidate: Candidate, device: torch.device) -> float:
    """The median time in seconds that the model takes for one image on `device`."""
    size, channels = candidate.preprocessing.size, len(candidate.preprocessing.mean)
    model, image = candidate.load().classifier.to(device), torch.zeros(1, channels, size, size, device=device)

    def classify() -> None:
        model(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.inference_mode():
        classify()
        return statistics.median(timeit.repeat(classify, number=1, repeat=REPEATS))
