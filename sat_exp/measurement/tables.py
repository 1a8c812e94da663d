"""From the result of a measurement to the tables and the summary of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sat_exp import similarity
from sat_exp.attacks import described
from sat_exp.deferred import deferred
from sat_exp.measurement.measurement import Measurement
from sat_exp.measurement.measures import measure_tables
from sat_exp.measurement.subjects import Measured, Source
from sat_exp.modules.clock import ALONE, COMPUTE, IN_THREADS, Seconds
from sat_exp.similarity import SAT_FLOOR
from sat_exp.similarity.measures import Measure

embedding = deferred("sat_exp.statistics.embedding")  # imports scipy.stats


@dataclass(frozen=True)
class Scoring:
    """How models are compared: on which images (see `similarity.score`), with which least mean transfer rate in percent
    (`floor`, ε_s of SAT), with which confidence of intervals, and by which further measures of similarity, by
    name."""

    compare: str = "truth"
    floor: float = SAT_FLOOR
    confidence: float = 0.95
    measures: Mapping[str, Measure] = field(default_factory=dict)


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
            found |= measure_tables(measured, images.labels, scoring.measures, scoring.confidence)
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
