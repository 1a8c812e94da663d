"""task=plan: what a study costs on this hardware, and how many images it needs, before anything is spent."""

import logging
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pydantic import Field
from rich.console import Console
from rich.table import Column, Table

from sat_exp import models, runs, settings
from sat_exp.errors import UserError
from sat_exp.modules import throughput
from sat_exp.modules.hardware import Hardware
from sat_exp.settings.types import FileName
from sat_exp.studies.plan import planning
from sat_exp.tasks import composing, measuring, printing
from sat_exp.tasks.recording import recorded
from sat_exp.tasks.store import amount

log = logging.getLogger(__name__)

RATES = (0.06, 0.15, 0.40)
"""Transfer rates of unlike, typical and like pairs."""

STAGES = dict(zip(("load", "clean outputs", "attack", "transfer"), planning.STAGES, strict=True)) | {"total": "seconds"}
Width = Annotated[float, Field(gt=0, le=10)]
"""The full width of an interval of SAT, whose values span the logarithms of 0.01 to 100."""

MOST_EXPENSIVE = 8
DEVICES = (2, 4, 8)


@dataclass(frozen=True)
class Finished:
    """What a finished run of all the planned models on the same data set tells: the share of the images attacked, by
    model; the correlation of a pair's two indicators; the median share of the images that X_AB holds. Without such a
    run, what makes the plan an upper bound."""

    folder: Path | None = None
    attacked: dict[str, float] = field(default_factory=dict)
    correlation: float = 1.0
    common: float = 1.0


def check(config: DictConfig, **_: Any) -> None:
    size_of(config), steps_of(config)
    measuring.check(config, composing.models(config), weights=False, images=False)


def run(config: DictConfig, *, name: FileName, width: Width, measure: bool) -> None:
    images, steps = size_of(config), steps_of(config)
    hardware: Hardware = settings.build(config.hardware, "hardware")
    chosen = composing.models(config)
    outputs = Path(config.output_dir)
    shape = canvas_of(config, chosen)
    title = f"The cost of {len(chosen)} models on {images} images of {HydraConfig.get().runtime.choices['dataset']}"
    with recorded(config, title) as recording:
        found = throughput.find(
            chosen,
            [composing.stated(reference) for reference in throughput.REFERENCES],
            hardware,
            canvas=shape[-1],
            table=outputs / "throughput.csv",
            measure=measure,
        )
        finished = latest(config, outputs, {model.name for model in chosen})
        plan = planning.times(found.rows, images, steps, finished.attacked)
        needed = planning.memory(found.rows, hardware.numerics, hardware.batch_size)
        plan = plan.assign(weights_bytes=needed["weights"], peak_bytes=needed["peak"])
        space = planning.disk(plan["attacked"], images, shape, max(model.classes for model in chosen))
        tables = {
            "plan": plan,
            "throughput_used": found.rows,
            "images_needed": sample_sizes(width, images, finished, config.score.confidence),
        }
        free = free_space(outputs)
        cautions = [f"{model} is not in the plan: {why}" for model, why in found.failures.items()]
        if sum(space.values()) > free:
            cautions.append(f"{amount(sum(space.values()))} do not fit into the {amount(free)} free in {outputs}")
        held, size = hardware.memory, hardware.batch_size
        if large := plan.loc[plan["peak_bytes"] > held, "name"].tolist():
            cautions.append(
                f"batches of {size} of {', '.join(large)} do not fit into the {amount(int(held))} of memory here: "
                "give a smaller hardware.batch_size"
            )
        if config.protocol != "canvas":
            cautions.append(f"planned for protocol=canvas; protocol={config.protocol} stores other sizes of images")
        noted = {
            "findings": findings(plan, finished, space, hardware),
            "planned_seconds": {stage: float(plan[column].sum()) for stage, column in STAGES.items()},
            "disk_bytes": space,
            "free_bytes": free,
            "notes": found.notes,
            "warnings": cautions,
        }
        drawn = recording.finish(noted, tables)
    console = printing.console()
    show_total(console, title, plan, finished, space, free, hardware)
    show_models(console, plan, found.rows)
    show_images(console, tables["images_needed"], width, images, finished)
    for note in found.notes:
        console.print(note, soft_wrap=True)
    for caution in cautions:
        console.print(printing.caution(caution), soft_wrap=True)
    console.print(f"report: {drawn.page}", soft_wrap=True)


def size_of(config: DictConfig) -> int:
    size = config.dataset.get("size")
    if type(size) is not int or size < 1:
        raise UserError(
            f"dataset.size={'null' if size is None else size}: a plan needs to know how many images, 1 or more"
        )
    return size


def steps_of(config: DictConfig) -> int:
    attack = settings.build(config.attack, "attack")
    steps = getattr(attack, "steps", None)
    if steps is None:
        raise UserError(f"a plan counts gradient steps, which {type(attack).__name__} does not name: choose attack=pgd")
    return steps


def canvas_of(config: DictConfig, chosen: list[DictConfig]) -> tuple[int, int, int]:
    """(C, H, W) of the canvas: the data set's crop, or the models' input size where it names none."""
    facts = [models.preprocessing(model) for model in chosen]
    side = config.dataset.get("crop") or max(fact.size for fact in facts)
    return max(len(fact.mean) for fact in facts), side, side


def free_space(outputs: Path) -> int:
    """Bytes free where `outputs` is, or will be made."""
    folder = outputs.absolute()
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def latest(config: DictConfig, outputs: Path, names: set[str]) -> Finished:
    """What the newest finished run of all models `names` on the same data set, with the same `labels`, tells.

    A run that cannot be read is named and left out.
    """
    for folder in runs.Run.newest(outputs, "tables/pairs.parquet"):
        try:
            found = told(runs.Run.open(folder), config, names)
        except UserError as error:
            log.warning("not used for the plan: %s", error)
            continue
        if found is not None:
            return found
    return Finished()


def told(run: runs.Run, config: DictConfig, names: set[str]) -> Finished | None:
    """What a run tells, None where it is not of those models, that data set or those `labels`, or of too few images."""
    single, pairs = run.table("models"), run.table("pairs")
    of_same = run.summary.get("choices", {}).get("dataset") == HydraConfig.get().runtime.choices["dataset"]
    settings = run.summary.get("settings", {})
    if single is None or pairs is None or not of_same or settings.get("labels", "truth") != config.labels:
        return None
    run.require("settings.score.confidence")
    size = int(single["images"].max()) if len(single) else 0
    if size == 0:
        return None
    attacked = (single.set_index("model")["attacked"] / size).loc[lambda share: share > 0]
    others = pairs.loc[pairs["model_a"] != pairs["model_b"], "images"]
    if not (names <= set(attacked.index) and others.median() >= planning.LEAST_IMAGES):
        return None
    correlation = planning.correlation(pairs, settings["score"]["confidence"])
    if correlation is None:
        return None
    return Finished(run.folder, attacked.to_dict(), correlation, float(others.median() / size))


def sample_sizes(width: float, images: int, finished: Finished, confidence: float) -> pd.DataFrame:
    """Rows: transfer rate × width, half and double of it. common_images: what both models must get right; images: what
    the data set must hold for that; width_planned: the width that the planned number of images gives."""
    rows = []
    for rate in RATES:
        common = images * finished.common
        rho = finished.correlation
        error = float(planning.standard_error(rate, common, rho))
        for wanted in (2 * width, width, width / 2):
            needed = int(planning.images_needed(rate, wanted, rho, confidence))
            rows.append(
                {
                    "transfer_rate": rate,
                    "sat": math.log(100 * rate),
                    "width": wanted,
                    "common_images": needed,
                    "images": math.ceil(needed / finished.common),
                    "correlation": rho,
                    "planned_images": images,
                    "standard_error_planned": error,
                    "width_planned": float(planning.interval_width(rate, common, rho, confidence)),
                }
            )
    return pd.DataFrame(rows)


def findings(plan: pd.DataFrame, finished: Finished, space: dict[str, int], hardware: Hardware) -> list[str]:
    """The plan in two sentences."""
    total, low, high = (plan[column].sum() for column in ("seconds", "seconds_low", "seconds_high"))
    spread = f" ({duration(low)} to {duration(high)} by the spread of the scaling)" if high > low else ""
    assumed = (
        f"with accuracies from {finished.folder}"
        if finished.folder is not None
        else "as if every image were attacked; with labels=truth only those are that a model gets right"
    )
    largest = plan.loc[plan["peak_bytes"].idxmax()]
    return [
        f"It takes {duration(total)}{spread}, {assumed}; decoding the images is not counted.",
        f"It needs {amount(sum(space.values()))} of disk, and {amount(largest['peak_bytes'])} of memory at batches of "
        f"{hardware.batch_size} for {largest['name']}, of which weights {amount(largest['weights_bytes'])}.",
    ]


def show_total(
    console: Console,
    title: str,
    plan: pd.DataFrame,
    finished: Finished,
    space: dict[str, int],
    free: int,
    hardware: Hardware,
) -> None:
    console.print(f"\n{title}", style="bold", soft_wrap=True)
    for finding in findings(plan, finished, space, hardware):
        console.print(finding, soft_wrap=True)
    table = Table(show_header=False)
    for stage, column in STAGES.items():
        table.add_row(stage, duration(plan[column].sum()))
    on_several = (f"{count}: {duration(planning.shared_seconds(plan, count))}" for count in DEVICES)
    table.add_row("on several such devices", ", ".join(on_several))
    table.add_row("memory, all weights resident", amount(plan["weights_bytes"].sum()))
    kinds = ", ".join(f"{kind} {amount(size)}" for kind, size in space.items())
    table.add_row("disk", f"{kinds}; free {amount(free)}")
    console.print(table)


def show_models(console: Console, plan: pd.DataFrame, used: pd.DataFrame) -> None:
    order = plan["seconds"].sort_values(ascending=False).index[:MOST_EXPENSIVE]
    heading = "most expensive models" if len(plan) > len(order) else "models"
    table = Table(Column("model", overflow="fold"), title=heading, title_justify="left")
    for heading in ("attack", "total", "images/s", "steps/s", "rates"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in order:
        times, rates = plan.loc[row], used.loc[row]
        table.add_row(
            times["name"],
            *(duration(times[column]) for column in ("attack_seconds", "seconds")),
            *(f"{rates[rate]:,.0f}" if rates[rate] >= 100 else f"{rates[rate]:.3g}" for rate in throughput.RATES),
            rates["source"],
        )
    console.print(table)


def show_images(console: Console, sizes: pd.DataFrame, width: float, images: int, finished: Finished) -> None:
    table = Table("transfer rate", title="images needed for an interval of SAT", title_justify="left")
    table.add_column(f"width at {images:,} images", justify="right")
    for wanted in sizes["width"].unique():
        table.add_column(f"width {wanted:.3g}", justify="right", style="bold" if wanted == width else None)
    for rate, rows in sizes.groupby("transfer_rate"):
        needed = (f"{number:,}" for number in rows["images"])
        table.add_row(f"{rate:.0%}", f"{rows['width_planned'].iloc[0]:.3f}", *needed)
    console.print(table)
    if finished.folder is None:
        origin = "counted are images common to a pair; an upper bound, as if every image fooled both ways or neither"
    else:
        origin = (
            f"with the correlation {finished.correlation:.2f} of the two directions and the "
            f"{finished.common:.0%} of images common to a pair found in {finished.folder}"
        )
    console.print(f"({origin})", soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds, readably."""
    unit, length = next(
        ((unit, length) for unit, length in (("days", 86400), ("h", 3600), ("min", 60)) if seconds >= 2 * length),
        ("s", 1),
    )
    return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:,.0f} {unit}"
