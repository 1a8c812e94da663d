"""task=ensemble: the gain of a pool's ensembles, its relation to the similarity of the members, and which to build."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from pydantic import Field

from sat_exp import cores, similarity
from sat_exp.ensembles import selection
from sat_exp.ensembles.contests import MOST_MEMBERS, Average, contests
from sat_exp.ensembles.pool import Pool, blocks, costs_of, counted
from sat_exp.ensembles.selection import Limits
from sat_exp.errors import UserError
from sat_exp.models import Configured
from sat_exp.settings.types import Count, Draws, FileName, Images, Positive, Repeats, Share
from sat_exp.similarity import Predictions, draws
from sat_exp.statistics.clustering import MOST, spectral, stability
from sat_exp.studies.ensemble import calibration, diversity, findings
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded

FEWEST = 5  # models whose ensembles can be compared
Sizes = Annotated[list[Annotated[int, Field(ge=2, le=MOST_MEMBERS)]], Field(min_length=1)]


def check(config: DictConfig, *, sizes: list[int], clusters: int | None, **rest: Any) -> None:
    """UserError if the pool, the labels and the settings do not fit together."""
    if config.labels != "truth":
        raise UserError(f"labels={config.labels}: an ensemble's error needs true labels; give labels=truth")
    if config.pool is None:
        raise UserError("task=ensemble needs several models: give pool=NAME, or pool=any 'pool.models=[A,B,C]'")
    models = composing.models(config)
    if len(models) < FEWEST:
        raise UserError(f"the pool has {len(models)} models for task.sizes={sizes}: give pool.models= {FEWEST} or more")
    smaller = smaller_than_pool(sizes, len(models))
    if clusters is not None and not 2 <= clusters <= len(models):
        raise UserError(f"task.clusters={clusters}: give 2 to {len(models)}, or null")
    measuring.check(config, models)
    limits = Limits.stated(None, parameters=rest["most_parameters"], flops=rest["most_flops"])
    limits.check(smaller, [Configured(model) for model in models])


def run(
    config: DictConfig,
    *,
    name: FileName,
    sizes: Sizes,
    average: Average,
    most: Images | None,
    clusters: Count | None,
    runs: Repeats,
    splits: Repeats,
    candidates: Count,
    least_accuracy: Share | None,
    most_parameters: Positive | None,
    most_flops: Annotated[float, Field(gt=0)] | None,
    resamples: Draws,
    permutations: Repeats,
) -> None:
    """Measure the pool, count the errors of its ensembles and write the study; see conf/task/ensemble.yaml."""
    models = composing.models(config)
    limits = Limits.stated(least_accuracy, parameters=most_parameters, flops=most_flops)
    measurement = measuring.prepared(config)
    images, drawing = measurement.images, (resamples, permutations, config.seed)
    truth = np.asarray(images.labels)
    title = f"Ensembles of {len(models)} models on {len(images)} images of {images.name}, averaging {average}"
    cores.prepare("sat_exp.report.theme")
    with recorded(config, title, tags=[images.name]) as recording:
        measured, examples = measuring.with_examples(measurement, models, None)
        tables = measuring.tabulate(measured, measurement, config) | examples.tables
        predictions, sat = measured.predicted(images.labels), similarity.matrix(tables["pairs"])
        labels, reason = clustered(predictions, sat, config, clusters, runs)
        right = np.array([model.clean == truth for model in measured.models])
        pool = Pool(right, costs_of(measured.models), sat, labels)
        logits = [model.logits for model in measured.models]
        possible = smaller_than_pool(sizes, len(pool.names))
        allowed = limits.sizes(possible, pool.accuracy, pool.costs)
        with measurement.timed("contests"):
            of_pool = contests(blocks(logits, truth), average)
        with measurement.timed("ensembles"):
            ensembles = [counted(pool, logits, of_pool, size, average, most, measurement) for size in possible]
        with measurement.timed("relations"):
            tables |= diversity.gains(ensembles, pool, *drawing)
        if average != "votes":
            with measurement.timed("calibration"):
                tables |= calibration.calibrated(ensembles, blocks(logits, truth), average, *drawing)
        with measurement.timed("selection"):
            chosen = selection.halves(len(images), splits, config.seed)
            sats = draws.weighted(predictions, chosen.astype(int), compare=config.labels, floor=config.score.floor)
            choice = [same_size for same_size in ensembles if same_size.size in allowed]
            tables |= selection.selected(choice, pool, of_pool, chosen, sats, candidates, limits, measurement.seed)
        facts = measuring.facts(measurement, measured)
        facts |= {"clusters": {"SAT": reason}, "findings": findings.findings(tables, pool.right)}
        facts["warnings"] += findings.cautions(sizes, ensembles, allowed, pool.right)
        drawn = recording.finish(facts, tables, examples.pictures, predictions)
    results.show(recording.summary, findings.printed(tables), drawn.page)
    measuring.refuse(measured.failures)


def clustered(
    predictions: Predictions, sat: pd.DataFrame, config: DictConfig, clusters: int | None, runs: int
) -> tuple[np.ndarray, str]:
    """The cluster of every model, int [M], and the reason for their number: given, or stable over `runs` draws of the
    images."""
    if len(sat) < FEWEST:
        raise UserError(f"{len(sat)} models were measured: ensembles are compared among {FEWEST} or more")
    if clusters is not None:
        return spectral(sat, clusters, seed=config.seed).to_numpy(), f"K = {clusters} was given"
    settings = {"compare": config.labels, "floor": config.score.floor, "seed": config.seed}
    resampled = list(draws.resampled(predictions, resamples=runs, **settings))
    stable = stability(sat, resampled, changed="images", most=min(MOST, len(sat) // 2), seed=config.seed)
    return stable.clusters[stable.recommended].to_numpy(), stable.reason


def smaller_than_pool(sizes: Sequence[int], models: int) -> list[int]:
    """The sizes below the number of models, ascending; UserError if there is none."""
    if not (smaller := sorted({size for size in sizes if size < models})):
        raise UserError(f"task.sizes={list(sizes)}: no ensemble smaller than the pool of {models} models")
    return smaller
