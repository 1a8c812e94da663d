"""From the result of a measurement to the tables and the summary of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.attacks import described
from sat_exp.deferred import deferred
from sat_exp.errors import UserError, one_line
from sat_exp.measurement.measurement import Measurement
from sat_exp.measurement.subjects import Measured, Source
from sat_exp.modules.clock import ALONE, COMPUTE, IN_THREADS, Seconds
from sat_exp.similarity import SAT_FLOOR, measures

embedding = deferred("sat_exp.statistics.embedding")  # imports scipy.stats


@dataclass(frozen=True)
class Scoring:
    """How models are compared: on which images (see `similarity.score`), with which least mean transfer rate in percent
    (`floor`, ε_s of SAT), with which confidence of intervals, and by which further measures of similarity."""

    compare: str = "truth"
    floor: float = SAT_FLOOR
    confidence: float = 0.95
    measures: tuple[str, ...] = ()


def tables(measured: Measured, measurement: Measurement, scoring: Scoring) -> dict[str, pd.DataFrame]:
    """The tables of a run by name, without those of the examples."""
    images = measurement.images
    found = {
        "models": model_table(measured, images.labels, scoring.confidence),
        "components": pd.DataFrame([{"model": model.name} | model.components for model in measured.models]),
        "images": images.table(measurement.views.contents),
        "store": measurement.store.manifest(),
    }
    if any(source != target for source, target in measured.predictions):
        found["pairs"] = pair_table(measured, images.labels, scoring)
        sat = similarity.matrix(found["pairs"])
        if len(sat) > 2 and sat.notna().all(axis=None):
            found["embedding"] = embedding.classical_points(sat).assign(method="classical")
        if scoring.measures:
            found["measures"] = measure_table(measured, images.labels, scoring.measures, scoring.confidence)
    if measured.seconds:
        found["time"] = time_table(measured.seconds)
    if any(model.techniques.notes for model in measured.models):
        found["numerics"] = numerics_table(measured)
    if measured.failures:
        found["failures"] = pd.DataFrame(measured.failures.items(), columns=["model", "reason"])
    return found


def time_table(seconds: Seconds) -> pd.DataFrame:
    """The table `time`: the seconds of each model by activity, see `clock`."""
    table = pd.Series(seconds, dtype=float).unstack(fill_value=0.0).rename_axis(index="model")
    return table.reindex(columns=[*ALONE, "other", *IN_THREADS], fill_value=0.0).round(3).reset_index()


def numerics_table(measured: Measured) -> pd.DataFrame:
    """The table `numerics`: the techniques of each model, "exact" for none, and what was measured of all."""
    rows = [(model.name, model.techniques) for model in measured.models]
    return pd.DataFrame(
        {
            "model": [name for name, _ in rows],
            "attack": [" ".join(own.attack) or "exact" for _, own in rows],
            "evaluation": [" ".join(own.evaluation) or "exact" for _, own in rows],
            "notes": ["; ".join(own.notes) for _, own in rows],
        }
    )


def efficiency(seconds: Seconds) -> float | None:
    """The share of the time in which networks compute; None where they did not compute for a second."""
    computed, whole = (
        sum(value for (_, activity), value in seconds.items() if activity in activities)
        for activities in (COMPUTE, (*ALONE, "other"))
    )
    return round(computed / whole, 4) if computed >= 1 else None


def model_table(measured: Measured, labels: np.ndarray | None, confidence: float) -> pd.DataFrame:
    """The table `models`."""
    goals = measured.predicted(labels).goals
    rows = []
    for model in measured.models:
        notes = model.adversarial.notes if isinstance(model, Source) else {}
        seconds = notes.get("seconds", np.nan)
        rows.append(
            {"model": model.name, "family": model.candidate.family, "parameters": model.parameters}
            | similarity.model_rates(
                labels if model.labelled else None,
                model.clean,
                measured.predictions.get((model.name, model.name)),
                goals=goals.get(model.name),
                confidence=confidence,
            )
            | {
                "mean_linf": notes.get("mean_linf", np.nan),
                "mean_l2": notes.get("mean_l2", np.nan),
                "changed_pixels": notes.get("mean_changed", np.nan),
                "attack_seconds": seconds,
                "attack_images_per_second": notes["images"] / seconds if "images" in notes else np.nan,
                "pretrained": model.candidate.pretrained,
            }
        )
    return pd.DataFrame(rows)


def pair_table(measured: Measured, labels: np.ndarray | None, scoring: Scoring) -> pd.DataFrame:
    """The table `pairs`: that of `similarity.score`, and whether both models are pretrained."""
    trained = {model.name: model.candidate.pretrained for model in measured.models}
    pairs = similarity.score(
        measured.predicted(labels),
        {model.name: model.candidate.family for model in measured.models},
        compare=scoring.compare,
        floor=scoring.floor,
        confidence=scoring.confidence,
    )
    return pairs.assign(pretrained=pairs["model_a"].map(trained) & pairs["model_b"].map(trained))


def measure_table(
    measured: Measured, labels: np.ndarray | None, names: Sequence[str], confidence: float
) -> pd.DataFrame:
    """The table `measures`: the measures `names` of every pair that was measured in a direction, an asymmetric one in
    both orders. UserError where a measure cannot be computed."""
    models = {model.name: model for model in measured.models}
    unordered = {frozenset(direction) for direction in measured.predictions}
    logits = lru_cache(maxsize=2)(lambda name: models[name].logits.read_all())
    rows = []
    for measure in measures.chosen(names):
        for pair in (pair for pair in combinations(models, 2) if frozenset(pair) in unordered):
            for a, b in [pair] if measure.symmetric else [pair, pair[::-1]]:
                outputs = [logits(name) if measure.needs == "logits" else models[name].clean for name in (a, b)]
                truth = labels if models[a].labelled and models[b].labelled else None
                try:
                    value = measure.compute(outputs[0], outputs[1], truth, confidence)
                except Exception as error:
                    raise UserError(f"the measure {measure.name} fails on {a} and {b}: {one_line(error)}") from error
                rows.append((a, b, measure.name, *(value if isinstance(value, tuple) else (value, np.nan, np.nan))))
    return pd.DataFrame(rows, columns=["model_a", "model_b", "measure", "value", "low", "high"])


def facts(measurement: Measurement, measured: Measured) -> dict[str, Any]:
    """The part of a run's summary that describes a measurement."""
    images = measurement.images
    return {
        "attack": described(measurement.attack),
        "dataset": {
            "name": images.name,
            "images": len(images),
            "classes": len(images.class_names),
            "digest": measurement.views.digest,
        },
        "class_names": list(images.class_names),
        "models": {model.name: model.candidate.facts for model in measured.models},
        "timings": {stage: round(seconds, 2) for stage, seconds in measured.timings.items()},
        "efficiency": efficiency(measured.seconds),
        "warnings": measured.warnings + [f"{name} failed: {reason}" for name, reason in measured.failures.items()],
    }
