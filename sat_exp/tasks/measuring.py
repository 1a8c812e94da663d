"""What the attack, transfer and matrix tasks share: measure models, score them, write the results, show them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from sat_exp import models, settings, similarity
from sat_exp.datasets import ImageSet
from sat_exp.errors import UserError
from sat_exp.measurement import Direction, Measured, Measurement, Source, check_labels
from sat_exp.similarity import measures
from sat_exp.statistics import embedding
from sat_exp.store import Store, key_of
from sat_exp.tasks import composing, results
from sat_exp.tasks.recording import recorded

UNTRAINED = " (untrained networks)"

sound: set[str] = set()
"""What was checked already: the jobs of a sweep mostly have the same models."""

known: dict[str, ImageSet] = {}
"""The image set that was asked for last, by its settings: it is checked, and then measured."""


def check(config: DictConfig, chosen: Sequence[DictConfig], *, weights: bool = True, images: bool = True) -> None:
    """Raise UserError where the hardware or the data set is not there, or one of the models `chosen` cannot be built as
    configured, or cannot be compared on it. weights, images: their checkpoints, and the data set, are needed too."""
    measures.chosen(config.measures)
    settings.build(config.hardware, "hardware").trainer(enable_progress_bar=False)
    for name, listed in config.sweep.items():
        if listed:
            composing.names(list(listed), f"sweep.{name}")
    wrong = []
    for model in chosen:
        try:
            settings.check_model(model, f"model {model.get('name')}")
            key = key_of({"model": settings.plain(model), "weights": weights})
            if key not in sound:
                models.check(model if weights else composing.changed(model.copy(), {"pretrained": False}))
                sound.add(key)
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("; ".join(wrong))
    if images:
        found = image_set(config)
        for model in chosen:
            check_labels(model, chosen[0], found, config.labels)
            channels = len(models.preprocessing(model).mean)
            if config.protocol == "canvas" and channels != found.shape[0]:
                raise UserError(
                    f"model {model.name} takes images of {channels} channels, {found.name} has {found.shape[0]}: "
                    "choose a fitting dataset=, or dataset.mode="
                )


def image_set(config: DictConfig) -> ImageSet:
    """The images that the configuration chooses; those of the last one asked for are kept."""
    key = key_of(settings.plain(config.dataset))
    if key not in known:
        known.clear()
        known[key] = settings.build(config.dataset, "dataset").images
    return known[key]


def measure(config: DictConfig, chosen: Sequence[DictConfig], directions: Collection[Direction], *, title: str) -> None:
    """Measure the models `chosen`, write the run's folder (tables, figures, page), mirror it to W&B and print it.

    Raises UserError at the very end where some models failed and the others' results stand.
    """
    measurement = prepared(config)
    images = measurement.images
    untrained = not all(model.pretrained for model in chosen)
    heading = title.format(images=len(images), dataset=images.name) + UNTRAINED * untrained
    with recorded(config, heading, tags=[images.name] + ["untrained"] * untrained) as recording:
        measured, examples = with_examples(measurement, chosen, directions)
        tables = tabulate(measured, measurement, config) | examples.tables
        predictions = measured.predicted(images.labels)
        drawn = recording.finish(facts(measurement, measured), tables, examples.pictures, predictions)
    results.show(tables, heading, drawn, config.score.confidence)
    refuse(measured.failures)


def with_examples(
    measurement: Measurement, chosen: Sequence[DictConfig], directions: Collection[Direction] | None
) -> tuple[Measured, results.Examples]:
    """What is measured, and a few images of it; damage to the stored images is mended."""

    def work() -> tuple[Measured, results.Examples]:
        measured = measurement.run(chosen, directions)
        return measured, results.examples(measured, measurement.images)

    return measurement.mending(work)


def prepared(config: DictConfig) -> Measurement:
    """The measurement that the configuration describes."""
    return Measurement(
        images=image_set(config),
        attack=settings.build(config.attack, "attack"),
        store=Store.local(Path(config.output_dir) / "store"),
        hardware=settings.build(config.hardware, "hardware"),
        seed=config.seed,
        labels=config.labels,
        protocol=config.protocol,
    )


def refuse(failures: dict[str, str]) -> None:
    if failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise UserError(f"not in the results, as they failed: {reasons}; the same command tries again")


def facts(measurement: Measurement, measured: Measured) -> dict[str, Any]:
    """What a run's summary says of a measurement."""
    images = measurement.images
    return {
        "attack": {"name": type(measurement.attack).__name__.lower()} | asdict(measurement.attack),
        "dataset": {
            "name": images.name,
            "images": len(images),
            "classes": len(images.class_names),
            "digest": measurement.views.digest,
        },
        "class_names": list(images.class_names),
        "models": {model.name: OmegaConf.to_container(model.config, resolve=True) for model in measured.models},
        "timings": {stage: round(seconds, 2) for stage, seconds in measured.timings.items()},
        "warnings": measured.warnings + [f"{name} failed: {reason}" for name, reason in measured.failures.items()],
    }


def tabulate(measured: Measured, measurement: Measurement, config: DictConfig) -> dict[str, pd.DataFrame]:
    """The tables of a run: models, components, images, the store's manifest; pairs and their embedding where there are
    any, failures where there were."""
    images = measurement.images
    tables = {
        "models": model_table(measured, images.labels, config.score.confidence),
        "components": pd.DataFrame([{"model": model.name} | model.components for model in measured.models]),
        "images": images.table(measurement.views.contents),
        "store": measurement.store.manifest(),
    }
    if any(source != target for source, target in measured.predictions):
        tables["pairs"] = pair_table(measured, images.labels, config)
        sat = similarity.matrix(tables["pairs"])
        if len(sat) > 2 and sat.notna().all(axis=None):
            tables["embedding"] = embedding.classical(sat).points.assign(method="classical")
        if config.measures:
            tables["measures"] = measures.table(
                config.measures, measured.models, measured.predictions, images.labels, config.score.confidence
            )
    if measured.failures:
        tables["failures"] = pd.DataFrame(measured.failures.items(), columns=["model", "reason"])
    return tables


def model_table(measured: Measured, labels: np.ndarray | None, confidence: float) -> pd.DataFrame:
    """One row a model: accuracy, white-box success, perturbation norms, throughput of the attack."""
    rows = []
    for model in measured.models:
        notes = model.adversarial.notes if isinstance(model, Source) else {}
        seconds = notes.get("seconds", np.nan)
        truth = labels if model.labelled else None
        rows.append(
            {"model": model.name, "family": model.family, "parameters": model.parameters}
            | similarity.model_rates(
                truth, model.clean, measured.predictions.get((model.name, model.name)), confidence=confidence
            )
            | {
                "mean_linf": notes.get("mean_linf", np.nan),
                "mean_l2": notes.get("mean_l2", np.nan),
                "changed_pixels": notes.get("mean_changed", np.nan),
                "attack_seconds": seconds,
                "attack_images_per_second": notes["images"] / seconds if "images" in notes else np.nan,
                "pretrained": model.pretrained,
            }
        )
    return pd.DataFrame(rows)


def pair_table(measured: Measured, labels: np.ndarray | None, config: DictConfig) -> pd.DataFrame:
    """One row a pair: see `similarity.score`; pretrained: whether both models are."""
    trained = {model.name: model.pretrained for model in measured.models}
    pairs = similarity.score(
        measured.predicted(labels),
        {model.name: model.family for model in measured.models},
        compare=config.labels,
        floor=config.score.floor,
        confidence=config.score.confidence,
    )
    return pairs.assign(pretrained=pairs["model_a"].map(trained) & pairs["model_b"].map(trained))
