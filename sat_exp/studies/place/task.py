"""task=place: one more model beside a matrix that is there, at the cost of a row and a column, and where it lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from sat_exp import settings
from sat_exp.errors import UserError
from sat_exp.runs import Run
from sat_exp.settings.types import Count, FileName, FilePath
from sat_exp.studies.place import placement
from sat_exp.studies.place.placement import Placement
from sat_exp.tasks import composing, describing, measuring, printing, results
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.report import chosen, existing

SHOWN = 5
DETERMINED = ("dataset", "attack", "seed", "labels", "protocol", "score")
NUMERICS = ("precision", "tf32", "channels_last")


@dataclass(frozen=True)
class Setting:
    """The matrix, the other models of it, and the configuration with what determined its numbers."""

    beside: Run
    others: list[DictConfig]
    config: DictConfig


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    found = setting(config, run)
    measuring.check(found.config, [config.model, *found.others])


def setting(config: DictConfig, run: str | None) -> Setting:
    """Where the model is placed. UserError where the run says what could not be typed either: it may come from other
    people, and names no code but that of known packages."""
    beside = chosen(config, None if run is None else str(existing(run, "a matrix")))
    summary = beside.summary
    if beside.table("pairs") is None or not {"models", "dataset", "settings"} <= set(summary):
        raise UserError(f"{beside.folder} holds no measured pairs: give task.run=FOLDER of a matrix")
    try:
        merged = with_settings_of(summary["settings"], config)
        others = beside_others(config.model, beside)
        settings.check_values(merged)
        for other in others:
            settings.check_model(other, f"model {other.get('name')}")
    except UserError as error:
        raise UserError(f"{beside.folder}: {error}") from error
    return Setting(beside, others, merged)


def run(config: DictConfig, *, name: FileName, run: FilePath | None, clusters: Count) -> None:
    """Measure `model` against every model of the run in the folder `run`, with that run's images, attack and seed."""
    matrix = setting(config, run)
    beside, others, config = matrix.beside, matrix.others, matrix.config
    new = config.model
    measurement = measuring.prepared(config)
    if measurement.views.digest != beside.summary["dataset"]["digest"]:
        raise UserError(f"these are not the images of {beside.folder}: give the dataset.root= that it was measured on")
    directions = {pair for other in others for pair in ((new.name, other.name), (other.name, new.name))}

    untrained = not all(model.pretrained for model in [new, *others])
    title = f"Where {new.name} lies among the {len(others)} models of {describing.run_name(config, beside.folder)}"
    tags = [measurement.images.name] + ["untrained"] * untrained
    with recorded(config, title + measuring.UNTRAINED * untrained, tags=tags) as recording:
        measured, examples = measuring.with_examples(measurement, [*others, new], directions)
        tables = beside_the_old(measuring.tabulate(measured, measurement, config), beside, new.name) | examples.tables
        placed = placement.place(new.name, tables["pairs"], min(clusters, max(1, len(others) // 2)), seed=config.seed)
        tables |= {"nearest_models": placed.nearest, "rates": placed.rates, "nearest_clusters": placed.clusters}
        found = {"findings": sentences(placed)}
        noted = measuring.facts(measurement, measured) | found
        drawn = recording.finish(noted, tables, examples.pictures, studied=beside)
    show(placed, drawn.page, config.score.confidence)
    measuring.refuse(measured.failures)


def with_settings_of(of_run: dict[str, Any], config: DictConfig) -> DictConfig:
    """`config` with what determined the numbers of another run; UserError for any of that typed anew, but the folder of
    the data set, which may have moved."""
    typed = {override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task}
    for key in sorted(typed - {"dataset.root"}):
        if key.split(".")[0] in DETERMINED or key in {f"hardware.{switch}" for switch in NUMERICS}:
            raise UserError(f"{key} is that of the matrix beside which the model is placed: leave it out")
    merged = config.copy()
    for key in DETERMINED:
        merged[key] = stated(of_run, key)
    for switch in NUMERICS:
        merged.hardware[switch] = stated(stated(of_run, "hardware"), switch)
    composing.changed(merged.dataset, composing.retyped("dataset"))
    return merged


def stated(settings: Any, name: str) -> Any:
    if not isinstance(settings, dict) or name not in settings:
        raise UserError(f"its summary does not state {name}: measure the matrix again")
    return settings[name]


def beside_others(new: DictConfig, beside: Run) -> list[DictConfig]:
    """The models of the matrix `beside`, without `new` where it is one of them."""
    others = {name: OmegaConf.create(facts) for name, facts in beside.summary["models"].items()}
    if new.name in others:
        composing.distinct([others.pop(new.name), new])
    pairs = beside.tables()["pairs"]
    measured = pairs[pairs["sat"].notna() & (pairs["model_a"] != pairs["model_b"])]
    between = measured[measured["model_a"].isin(others) & measured["model_b"].isin(others)]
    if len(others) < 2 or len(between) < len(others) * (len(others) - 1) / 2:
        raise UserError(
            f"{beside.folder} holds no whole matrix of two or more other models: give task.run=FOLDER of one"
        )
    return list(others.values())


def beside_the_old(tables: dict[str, pd.DataFrame], beside: Run, new: str) -> dict[str, pd.DataFrame]:
    """`tables` with the old run's rows for the models and pairs that `new` has no part in."""
    olds = beside.tables()

    def joined(table: str, columns: list[str]) -> pd.DataFrame:
        old = olds[table]
        own = tables[table][(tables[table][columns] == new).any(axis=1)]
        return pd.concat([old[(old[columns] != new).all(axis=1)], own], ignore_index=True)

    return tables | {"models": joined("models", ["model"]), "pairs": joined("pairs", ["model_a", "model_b"])}


def show(placed: Placement, page: Path, confidence: float) -> None:
    console = printing.console()
    table = Table("nearest", title=f"where {placed.model} lies", title_justify="left")
    for heading in ("SAT", results.percent(confidence), "fools it", "is fooled by it"):
        table.add_column(heading, justify="right")
    for row in placed.nearest.head(SHOWN).itertuples():
        interval = f"{row.sat_low:.2f}–{row.sat_high:.2f}"
        table.add_row(str(row.model), f"{row.sat:.2f}", interval, f"{row.fooled_by:.1%}", f"{row.fools:.1%}")
    console.print(table)
    for sentence in sentences(placed):
        console.print(sentence, highlight=False)
    console.print(f"report: {page}", soft_wrap=True)


def sentences(placed: Placement) -> list[str]:
    """What was found, in words."""
    found = []
    for row in placed.rates.itertuples():
        verb = "fools the others on" if row.role == "source" else "is fooled by the others on"
        found.append(
            f"{placed.model} {verb} {row.mean_rate:.1%} of the images on average, rank {row.rank} of {row.models} "
            f"(most: {row.most}, {row.most_rate:.1%}; least: {row.least}, {row.least_rate:.1%})."
        )
    cluster = placed.clusters.iloc[0]
    margin = f", {placed.margin:.2f} above the next" if placed.margin == placed.margin else ""
    found.append(
        f"It falls into cluster {placed.cluster} of {len(placed.clusters)}, with which its mean SAT is "
        f"{cluster.mean_sat:.2f}{margin}: {cluster.members}."
    )
    found.append(f"Its mean SAT with all others is {placed.mean_sat:.2f}, rank {placed.rank} of {placed.models}.")
    return found
