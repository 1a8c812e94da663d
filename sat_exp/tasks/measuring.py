"""The work that tasks with a measurement share: check the settings, measure, write the results, print them."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from omegaconf import DictConfig

from sat_exp import measurement, models, settings
from sat_exp.datasets import ImageSet
from sat_exp.deferred import deferred
from sat_exp.errors import UserError
from sat_exp.measurement import (
    Direction,
    Examples,
    Measured,
    Measurement,
    Scoring,
    check_models,
    facts,
    identity,
    model_table,
)
from sat_exp.models import Configured
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.store import Store, key_of
from sat_exp.tasks import composing, results
from sat_exp.tasks.recording import recorded

if TYPE_CHECKING:
    from sat_exp.report import headline
else:
    headline = deferred("sat_exp.report.headline")  # imports libraries of figures, which the attack does not need

__all__ = [
    "check",
    "facts",
    "image_set",
    "measure",
    "measures",
    "model_table",
    "prepared",
    "refuse",
    "scoring",
    "tabulate",
]

UNTRAINED = " (untrained networks)"

checked_models: set[str] = set()
"""Keys of the models that were checked already: the jobs of a sweep mostly have the same models."""

last_images: dict[str, ImageSet] = {}
"""The image set that was built last, by its settings: it is built for the check and used by the measurement."""


def check(config: DictConfig, chosen: Sequence[DictConfig], *, weights: bool = True, images: bool = True) -> None:
    """UserError if the hardware, the measures or the data set is not available, or if one of the models `chosen` cannot
    be built or compared on the images. weights, images: whether checkpoints and the data set are needed too."""
    wanted = measures(config)
    if config.labels == "truth" and (narrow := [name for name, measure in wanted.items() if measure.all_images]):
        raise UserError(f"measure={narrow[0]} needs attacks on all images: give labels=consensus or labels=own")
    hardware = settings.build(config.hardware, "hardware")
    hardware.check()
    for name, listed in config.sweep.items():
        if listed:
            composing.names(list(listed), f"sweep.{name}")
    wrong, store = [], Store.at(config.store)
    for model in chosen:
        try:
            settings.check_model(model, f"model {model.get('name')}")
            key = key_of({"model": settings.plain(model), "weights": weights})
            if key not in checked_models:
                if not (weights and identity.remembered(Configured(model), store)):
                    hardware.trainer(enable_progress_bar=False)  # Lightning's own check; it is imported now
                    models.check(model if weights else composing.changed(model, pretrained=False))
                checked_models.add(key)
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("; ".join(wrong))
    if images:
        attack = settings.build(config.attack, "attack")
        candidates = [Configured(model) for model in chosen]
        check_models(candidates, image_set(config), attack, labels=config.labels, protocol=config.protocol)


def image_set(config: DictConfig) -> ImageSet:
    """The images that the configuration chooses; the last set is kept."""
    key = key_of(settings.plain(config.dataset))
    if key not in last_images:
        last_images.clear()
        last_images[key] = settings.build(config.dataset, "dataset").images
    return last_images[key]


def measure(config: DictConfig, chosen: Sequence[DictConfig], directions: Collection[Direction], *, title: str) -> None:
    """Measure the models `chosen`, write the run's folder (tables, figures, page), mirror it to W&B and print it.
    UserError at the very end if some models failed; the others' results are written."""
    work = prepared(config)
    images = work.images
    untrained = not all(model.pretrained for model in chosen)
    heading = title.format(images=len(images), dataset=images.name) + UNTRAINED * untrained
    with recorded(config, heading, tags=[images.name] + ["untrained"] * untrained) as recording:
        measured, examples = with_examples(work, chosen, directions)
        tables = tabulate(measured, work, config) | examples.tables
        stated = facts(work, measured)
        stated["findings"] = headline.measured(tables, recording.summary | stated)
        drawn = recording.finish(stated, tables, examples.pictures, measured.predicted(images.labels))
    summary = recording.summary | {"warnings": drawn.warnings}
    results.show(summary, results.printed(tables, summary, config.score.confidence), drawn.page)
    refuse(measured.failures)


def prepared(config: DictConfig) -> Measurement:
    """The measurement that the configuration describes."""
    return Measurement(
        images=image_set(config),
        attack=settings.build(config.attack, "attack"),
        store=Store.at(config.store),
        hardware=settings.build(config.hardware, "hardware"),
        seed=config.seed,
        labels=config.labels,
        protocol=config.protocol,
        engine=settings.build(config.engine, "engine"),
        adversarial=config.adversarial,
        outputs=frozenset(one.needs for one in measures(config).values() if isinstance(one.needs, Outputs)),
    )


def measures(config: DictConfig) -> dict[str, Measure]:
    """The chosen measures by name; UserError for a wrong setting of one, and for code that makes none."""
    found = {}
    for name, own in config.measure.items():
        found[str(name)] = settings.build(own, "measure", f"measure.{name}")
        if not isinstance(found[str(name)], Measure):
            raise UserError(f"measure.{name}._target_={own._target_} makes no measure: give one that returns a Measure")
    return found


def with_examples(
    prepared: Measurement, chosen: Sequence[DictConfig], directions: Collection[Direction] | None
) -> tuple[Measured, Examples]:
    """See `measurement.with_examples`; `chosen` are the configurations of the models."""
    return measurement.with_examples(prepared, [Configured(model) for model in chosen], directions)


def tabulate(measured: Measured, prepared: Measurement, config: DictConfig) -> dict[str, pd.DataFrame]:
    """The tables of a run, see `measurement.tables`, scored as configured."""
    return measurement.tables(measured, prepared, scoring(config))


def scoring(config: DictConfig) -> Scoring:
    """How the configuration compares models."""
    return Scoring(config.labels, config.score.floor, config.score.confidence, measures(config))


def refuse(failures: dict[str, str], outcome: str = "not in the results") -> None:
    """UserError that names every model that failed."""
    if failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise UserError(f"{outcome}, as they failed: {reasons}; the same command tries again")
