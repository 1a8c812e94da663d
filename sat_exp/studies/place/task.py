"""task=place: the place of one more model in a finished matrix, at the cost of one row and one column."""

import filecmp
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sat_exp import settings
from sat_exp.errors import UserError
from sat_exp.runs import Run
from sat_exp.settings.types import Count, Existing, FileName
from sat_exp.similarity.scores import between_models
from sat_exp.studies.place.placement import place, printed, sentences
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.finished import chosen, existing
from sat_exp.tasks.recording import recorded, run_name

DETERMINED = ("dataset", "attack", "seed", "labels", "protocol", "score")
NUMERICS = ("precision", "tf32", "channels_last")


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    others, merged = setting(config, run)[1:]
    measuring.check(merged, [config.model, *others])


def setting(config: DictConfig, run: str | None) -> tuple[Run, list[DictConfig], DictConfig]:
    """The matrix in which the model is placed; its other models; `config` with its settings.

    UserError where its summary states settings that the command line would refuse: a run may come from other people.
    """
    matrix = chosen(config, None if run is None else str(existing(run, "a matrix")))
    summary = matrix.summary
    if matrix.table("pairs") is None or not {"models", "dataset", "settings"} <= set(summary):
        raise UserError(f"{matrix.folder} holds no measured pairs: give task.run=FOLDER of a matrix")
    try:
        merged = with_settings_of(summary["settings"], config)
        others = other_models(config.model, matrix)
        settings.check_values(merged)
        for other in others:
            settings.check_model(other, f"model {other.get('name')}")
    except UserError as error:
        raise UserError(f"{matrix.folder}: {error}") from error
    return matrix, others, merged


def run(config: DictConfig, *, name: FileName, run: Existing | None, clusters: Count) -> None:
    """Measure `model` against every model of the matrix `run`, with that run's images, attack and seed."""
    matrix, others, config = setting(config, run)
    new = config.model
    measurement = measuring.prepared(config)
    if measurement.views.digest != matrix.summary["dataset"]["digest"]:
        raise UserError(f"these are not the images of {matrix.folder}: give the dataset.root= of its measurement")
    directions = {way for other in others for way in ((new.name, other.name), (other.name, new.name))}

    untrained = not all(model.pretrained for model in [new, *others])
    title = f"{new.name} among the {len(others)} models of {run_name(config, matrix.folder)}"
    tags = [measurement.images.name] + ["untrained"] * untrained
    with recorded(config, title + measuring.UNTRAINED * untrained, tags=tags) as recording:
        measured, examples = measuring.with_examples(measurement, [*others, new], directions)
        tables = joined(measuring.tabulate(measured, measurement, config), matrix.tables(), new.name) | examples.tables
        placed = place(new.name, tables["pairs"], min(clusters, max(1, len(others) // 2)), seed=config.seed)
        tables |= {"nearest_models": placed.nearest, "rates": placed.rates, "nearest_clusters": placed.clusters}
        facts = measuring.facts(measurement, measured) | {"findings": sentences(placed)}
        facts["warnings"] += changed_weights(tables["store"], matrix.table("store"), [model.name for model in others])
        drawn = recording.finish(facts, tables, examples.pictures, studied=matrix)
    results.show(recording.summary, printed(placed), drawn.page)
    measuring.refuse(measured.failures)


def with_settings_of(of_run: dict[str, Any], config: DictConfig) -> DictConfig:
    """`config` with the settings of another run that determine its numbers.

    UserError where one of them is typed, except the folder of the data set, which may have moved.
    """
    typed = {override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task}
    for key in sorted(typed - {"dataset.root"}):
        if key.split(".")[0] in DETERMINED or key in {f"hardware.{switch}" for switch in NUMERICS}:
            raise UserError(f"{key} is that of the matrix in which the model is placed: leave it out")
    merged = config.copy()
    for key in DETERMINED:
        merged[key] = stated(of_run, key)
    for switch in NUMERICS:
        merged.hardware[switch] = stated(stated(of_run, "hardware"), switch)
    for key, value in composing.retyped("dataset").items():
        OmegaConf.update(merged.dataset, key, value, force_add=True)
    return merged


def stated(settings: Any, name: str) -> Any:
    """The setting `name` of a run's summary; UserError where it is missing."""
    if not isinstance(settings, dict) or name not in settings:
        raise UserError(f"its summary does not state {name}: measure the matrix again")
    return settings[name]


def other_models(new: DictConfig, matrix: Run) -> list[DictConfig]:
    """The models of a matrix without `new`; UserError where a pair of them was not measured."""
    others = {name: here(facts) for name, facts in matrix.summary["models"].items()}
    if new.name in others:
        composing.distinct([others.pop(new.name), new])
    pairs = matrix.tables()["pairs"]
    measured = between_models(pairs).dropna(subset="sat")
    between = measured[measured["model_a"].isin(others) & measured["model_b"].isin(others)]
    if len(others) < 2 or len(between) < len(others) * (len(others) - 1) / 2:
        raise UserError(
            f"{matrix.folder} holds no whole matrix of two or more other models: give task.run=FOLDER of one"
        )
    return list(others.values())


def here(facts: dict[str, Any]) -> DictConfig:
    """The configuration of a model as a run states it, with the checkpoint of the model's own file where that is the
    same file in another folder: the run may have been measured in another checkout."""
    name, path = facts.get("name"), facts.get("checkpoint")
    if isinstance(path, str) and name in composing.choices():
        own = settings.plain(composing.changed(composing.stated(name), pretrained=facts.get("pretrained")))
        place = str(own["checkpoint"])
        moved = Path(place).name == Path(path).name and own | {"checkpoint": path} == facts
        there = os.path.isfile(path)  # noqa: PTH113, as Path's fails for a name that is too long
        if moved and (not there or filecmp.cmp(path, place, shallow=False)):
            return OmegaConf.create(own)
    return OmegaConf.create(facts)


def changed_weights(own: pd.DataFrame, old: pd.DataFrame | None, names: Collection[str]) -> list[str]:
    """A warning for each of the models `names` that differs from the model of the matrix. own, old: the tables `store`
    of the two runs; the key of a model's logits is that of its weights and code."""
    if old is None:
        return []
    keys = [table[table["kind"] == "logits"].groupby("name")["key"].agg(set) for table in (own, old)]
    other = [name for name in names if all(name in known for known in keys) and not keys[0][name] & keys[1][name]]
    return [
        f"{name} has other weights or other code here than in the matrix, whose pairs are of that network"
        for name in other
    ]


def joined(tables: dict[str, pd.DataFrame], old: dict[str, pd.DataFrame], new: str) -> dict[str, pd.DataFrame]:
    """`tables` with the old run's rows for the models and pairs without the model `new`."""
    names = {"models": ["model"], "pairs": ["model_a", "model_b"]}
    kept = {name: old[name][(old[name][columns] != new).all(axis=1)] for name, columns in names.items()}
    own = {name: tables[name][(tables[name][columns] == new).any(axis=1)] for name, columns in names.items()}
    return tables | {name: pd.concat([kept[name], own[name]], ignore_index=True) for name in names}
