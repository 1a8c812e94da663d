"""task=plan: the cost of a study on this hardware, and the images it needs, before the study runs."""

import math
import shutil
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
from humanize import naturalsize
from hydra.core.hydra_config import HydraConfig
from loky import cpu_count
from omegaconf import DictConfig
from pydantic import Field

from sat_exp import models, settings
from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.errors import UserError
from sat_exp.files import is_url
from sat_exp.measurement import division
from sat_exp.measurement.choice import examples_of_each
from sat_exp.modules import throughput
from sat_exp.modules.hardware import BYTES, Hardware
from sat_exp.settings.types import FileName
from sat_exp.studies.plan import findings, planning, simulation
from sat_exp.tasks import composing, measuring, results
from sat_exp.tasks.recording import recorded

Width = Annotated[float, Field(gt=0, le=10)]
"""The full width of an interval of SAT, whose values span the logarithms of 0.01 to 100."""

Workers = Annotated[int, Field(ge=1, le=4096)]

SEVERAL = (2, 4, 8, 32)
"""Numbers of workers that every plan shows."""


def check(config: DictConfig, *, workers: int | None, **_: Any) -> None:
    size_of(config), steps_of(config), workers_of(settings.build(config.engine, "engine"), workers)
    measuring.check(config, composing.models(config), weights=False, images=False)


def run(config: DictConfig, *, name: FileName, width: Width, measure: bool, workers: Workers | None) -> None:
    """Plan, write the run's folder, mirror it to W&B and print the findings."""
    images, steps = size_of(config), steps_of(config)
    engine: Engine = settings.build(config.engine, "engine")
    count = workers_of(engine, workers)
    hardware: Hardware = settings.build(config.hardware, "hardware")
    chosen = composing.models(config)
    outputs = Path(config.output_dir)
    inputs = [models.preprocessing(model) for model in chosen]
    side = config.dataset.get("crop") or max(fact.size for fact in inputs)
    shape = max(len(fact.mean) for fact in inputs), side, side
    title = f"The cost of {len(chosen)} models on {images} images of {HydraConfig.get().runtime.choices['dataset']}"
    with recorded(config, title) as recording:
        speed = throughput.find(
            chosen,
            [composing.stated(reference) for reference in throughput.REFERENCES],
            hardware,
            canvas=side,
            table=outputs / "throughput.csv",
            measure=measure,
        )
        finished = planning.latest(config, outputs, {model.name for model in chosen})
        kept = {"room": division.room(hardware, engine), "width": BYTES.get(hardware.precision, 4)}
        weights = [kept["width"] * parameters for parameters in speed.rows["parameters"]]
        groups = len(division.target_groups(engine, weights, float, kept["room"]))
        drop = config.adversarial == "drop"
        loads = planning.loads(groups, len(division.source_blocks(engine, weights, groups)), drop=drop)
        times = planning.times(speed.rows, images, steps, finished.attacked, loads=loads)
        memory = planning.memory(speed.rows, hardware.in_effect, hardware.batch_size)
        sizes = planning.sample_sizes(width, images, finished, config.score.confidence)
        work = {"images": images, "steps": steps, "size": math.prod(shape), "batch": hardware.chunk, "drop": drop}
        matrix = planning.matrix(speed.rows, times["attacked"], **work, **kept)
        scaling = simulation.scaling(matrix, engine, sorted({1, *SEVERAL, count}))
        tables = {"plan": times.join(memory), "throughput_used": speed.rows, "images_needed": sizes, "scaling": scaling}
        disk = planning.disk(times["attacked"], images, shape, max(model.classes for model in chosen))
        moved = planning.traffic(disk, len(times), groups)
        if drop:
            examples = hardware.chunk * examples_of_each(len(times), side)
            disk["adversarial"] = planning.most_stored(matrix.blocks(engine), examples) * math.prod(shape)
        failed = [f"{model} is not in the plan: {why}" for model, why in speed.failures.items()]
        total, free = sum(disk.values()), free_bytes(config.store)
        facts = {
            "findings": [
                *findings.time(tables["plan"], tables["scaling"], count, finished),
                *findings.needs(tables["plan"], total, moved, hardware.batch_size, loads if drop else None),
                *findings.images(sizes, width),
            ],
            "planned_seconds": findings.seconds(tables["plan"]),
            "disk_bytes": disk,
            "traffic_bytes": moved,
            "free_bytes": free,
            "notes": speed.notes,
            "warnings": failed
            + shared_cores(engine, count, hardware)
            + cautions(tables["plan"], total, free, config, hardware),
        }
        drawn = recording.finish(facts, tables)
    tables_printed = findings.printed(tables, recording.summary, finished, width)
    results.show(recording.summary, tables_printed, drawn.page)


def cautions(plan: pd.DataFrame, disk: int, free: int | None, config: DictConfig, hardware: Hardware) -> list[str]:
    """Cautions where disk or memory are too small, or the protocol is another."""
    texts = []
    if free is not None and disk > free:
        advice = "" if config.adversarial == "drop" else "; adversarial=drop needs less"
        texts.append(f"{naturalsize(disk)} do not fit into the {naturalsize(free)} free in {config.store}{advice}")
    if large := plan.loc[plan["peak_bytes"] > hardware.memory, "name"].tolist():
        texts.append(
            f"batches of {hardware.batch_size} of {', '.join(large)} do not fit into the "
            f"{naturalsize(int(hardware.memory))} of memory here: give a smaller hardware.batch_size"
        )
    if config.protocol != "canvas":
        texts.append(f"planned for protocol=canvas; protocol={config.protocol} stores other sizes of images")
    return texts


def shared_cores(engine: Engine, workers: int, hardware: Hardware) -> list[str]:
    """A caution where the speed was measured on more cores than each of several processes will have."""
    threads, cores = torch.get_num_threads(), int(cpu_count())
    if not isinstance(engine, Processes) or hardware.device.type != "cpu" or workers * threads <= max(cores, threads):
        return []
    fewer = f" or hardware.threads={max(1, cores // workers)}" if threads > 1 else ""
    each = f"{threads} core{'s' * (threads > 1)}"
    return [f"planned as if each of {workers} workers had {each}; here are {cores}: give fewer workers{fewer}"]


def free_bytes(store: str) -> int | None:
    """The free bytes where the folder `store` is or will be; None for a bucket, which has no limit."""
    if is_url(store):
        return None
    place = Path(store).absolute()
    return shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists())).free


def workers_of(engine: Engine, workers: int | None) -> int:
    """The number of workers; UserError where the engine has another number, or only its cluster knows it."""
    name, here = HydraConfig.get().runtime.choices["engine"], engine.workers_here()
    if isinstance(engine, Local) and workers not in (None, 1):
        raise UserError(f"task.workers={workers}: engine={name} is one worker; give engine=processes, ray or slurm")
    if workers is None and here is None:
        raise UserError(f"task.workers=null: give the number of workers that engine={name} will have")
    return workers or here or 1


def size_of(config: DictConfig) -> int:
    """dataset.size; UserError where it is not set."""
    size = config.dataset.get("size")
    if type(size) is not int or size < 1:
        shown = "null" if size is None else size
        raise UserError(f"dataset.size={shown}: a plan needs to know how many images, 1 or more")
    return size


def steps_of(config: DictConfig) -> int:
    """The gradients that the attack computes per image; UserError for an attack without any."""
    attack = settings.build(config.attack, "attack")
    if not attack.gradients:
        raise UserError(f"a plan counts gradient steps, and {type(attack).__name__} has none: choose attack=pgd")
    return attack.gradients
