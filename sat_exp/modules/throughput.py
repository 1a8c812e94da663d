"""How fast a network runs here, forward and in a step of an attack: measured, or scaled from another machine's table.

A table of throughput is a CSV file with one row for each network, input size, device, number of threads and precision:

- model: timm's architecture.tag, with the arguments given beside it, or the `_target_` of another network
- input_size: pixels of a side
- forward_images_per_second, attack_step_images_per_second: medians over batches of batch_size images from the canvas,
  the classifier's own resize included; a step is one of PGD, gradient and update
- load_seconds: building the network, with random weights, and hashing it
- parameters: how many
- peak_memory_bytes: the weights and what an attack step on such a batch adds to them: allocated on CUDA, elsewhere
  what autograd holds for the gradient, or the growth of the process where Linux says that it is more
- batch_size, device, threads (0 where an accelerator computes), precision (Lightning's name and what else changes
  numerics), torch: under what it was measured
"""

import ctypes
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader

from sat_exp import models
from sat_exp.attacks import PGD
from sat_exp.errors import UserError, one_line
from sat_exp.modules.hardware import Hardware

SHIPPED = Path(__file__).parent / "throughput.csv"

REFERENCES = ("resnet50", "deit_small", "convnext_tiny")
"""The models, of conf/model, whose speed here against the shipped table's scales that table to this machine."""

NETWORK = ["model", "input_size"]
MACHINE = ["device", "threads", "precision"]
RATES = ["forward_images_per_second", "attack_step_images_per_second"]
COLUMNS = [*NETWORK, *RATES, "load_seconds", "parameters", "peak_memory_bytes", "batch_size", *MACHINE, "torch"]

LEAST_ROUNDS, MOST_ROUNDS = 3, 15
ROUNDS_SECONDS = 3.0
"""Rounds of one forward batch and one attack step are timed until there are enough, or so long, whichever is later."""
BATCH_SECONDS = 2.0
"""A batch is doubled, up to hardware.batch_size, while the next attack step is expected to take no longer."""
CHEAP_SECONDS = 120.0
"""How long networks that no table knows are measured for before the user is asked whether to measure them all."""


@dataclass(frozen=True)
class Machine:
    """What a measurement of speed holds for."""

    device: str
    threads: int
    precision: str

    @classmethod
    def of(cls, hardware: Hardware) -> "Machine":
        device = hardware.device
        if device.type == "cpu":
            return cls(processor(), torch.get_num_threads(), hardware.numerics)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return cls(name, 0, hardware.numerics)


@dataclass(frozen=True)
class Throughput:
    """rows: one a model, in order: its name, the columns of a table, `source` (measured, or scaled) and
    `slow`, `fast`: the factors between which its rates may lie off, 1 where measured. failures: name → why a
    model could not be measured. notes: how rates were scaled."""

    rows: pd.DataFrame
    failures: dict[str, str]
    notes: list[str]


def find(
    configs: Sequence[DictConfig],
    references: Sequence[DictConfig],
    hardware: Hardware,
    *,
    canvas: int,
    table: Path,
    shipped: Path = SHIPPED,
    measure: bool = False,
) -> Throughput:
    """The throughput of `configs` here: from `table` where it was measured on this machine, else from the `shipped`
    table, scaled by `references`, else measured now. `measure`: measure whatever `table` lacks.

    canvas: pixels of a side of the images. What is measured is added to `table`.
    """
    machine = Machine.of(hardware)
    known = keyed(on(machine, read(table)))
    failed: dict[tuple[str, int], str] = {}

    def measured(wanted: Sequence[DictConfig], deadline: float = float("inf")) -> None:
        """Add what `known` lacks of `wanted`."""
        lacking: dict[tuple[str, int], DictConfig] = {}
        for config in wanted:
            if (key := network(config)) not in known:
                lacking.setdefault(key, config)
        with watched(len(lacking)) as began:
            for position, (key, config) in enumerate(lacking.items()):
                if time.perf_counter() > deadline:
                    raise UserError(
                        f"no table knows the throughput of {len(lacking) - position} of these models: measure them "
                        "once, with task.measure=true"
                    )
                began(config.name)
                try:
                    row = key_facts(key) | measure_one(config, hardware, canvas) | vars(machine)
                except (UserError, RuntimeError) as error:
                    failed[key] = one_line(error)
                    continue
                known[key] = row
                add(table, row)

    notes: list[str] = []
    scaled: dict[tuple[str, int], dict[str, Any]] = {}
    if not measure:
        basis = keyed(nearest(machine, read(shipped)))
        if any(network(config) in basis and network(config) not in known for config in configs):
            measured([reference for reference in references if network(reference) in basis])
            scaled, note = scale(basis, known)
            notes.append(note)
    unknown = [config for config in configs if network(config) not in scaled]
    measured(unknown, float("inf") if measure else time.perf_counter() + CHEAP_SECONDS)
    exact = {"source": "measured", "slow": 1.0, "fast": 1.0}
    found = scaled | {key: row | exact for key, row in known.items()}
    rows = [{"name": config.name} | found[network(config)] for config in configs if network(config) in found]
    failures = {config.name: failed[network(config)] for config in configs if network(config) not in found}
    if not rows:
        raise UserError(f"no model could be measured: {next(iter(failures.values()))}")
    return Throughput(pd.DataFrame(rows), failures, notes)


def scale(
    basis: dict[tuple[str, int], dict[str, Any]], here: dict[tuple[str, int], dict[str, Any]]
) -> tuple[dict[tuple[str, int], dict[str, Any]], str]:
    """The rows of `basis` with the rates expected here, and a line that says how.

    Rates are multiplied by their median ratio over the networks that both tables hold; `slow` and `fast` are the least
    and the greatest of these ratios over that median, of both rates.
    """
    common = [key for key in basis if key in here]
    if not common:
        raise UserError("none of the reference models could be measured here: measure all with task.measure=true")
    ratios = {rate: [here[key][rate] / basis[key][rate] for key in common] for rate in RATES}
    middle = {rate: statistics.median(ratios[rate]) for rate in RATES}
    off = [ratio / middle[rate] for rate in RATES for ratio in ratios[rate]]
    origin = next(iter(basis.values()))
    threads = f", {origin['threads']} thread{'s' * (origin['threads'] > 1)}" if origin["threads"] else ""
    note = (
        f"scaled to this machine from {origin['device']}{threads}, {origin['precision']}: "
        f"{middle[RATES[0]]:.2f} times its speed forward and {middle[RATES[1]]:.2f} times in an attack step, single "
        f"networks {min(off):.2f} to {max(off):.2f} times that ({len(common)} measured on both)"
    )
    return {
        key: row
        | {rate: row[rate] * middle[rate] for rate in RATES}
        | {"source": "scaled", "slow": min(off), "fast": max(off)}
        for key, row in basis.items()
    }, note


def measure_one(config: DictConfig, hardware: Hardware, canvas: int) -> dict[str, Any]:
    """The throughput of one model with random weights on `hardware`, as columns of a table."""
    untrained = deepcopy(config)
    with open_dict(untrained):
        untrained.pretrained, untrained.checkpoint = False, None
    started = time.perf_counter()
    model = models.load(untrained)
    seconds = time.perf_counter() - started
    shape = (len(models.preprocessing(untrained).mean), canvas, canvas)
    stopwatch = Stopwatch(model.classifier, shape, hardware.batch_size)
    if hardware.channels_last:
        stopwatch.to(memory_format=torch.channels_last)
    trainer = hardware.trainer(inference_mode=False, enable_progress_bar=False)
    trainer.predict(stopwatch, DataLoader(range(1), batch_size=None), return_predictions=False)  # type: ignore[arg-type]
    found = {"load_seconds": seconds, "parameters": model.parameters, "torch": torch.__version__} | stopwatch.found
    stopwatch.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return found


class Stopwatch(LightningModule):
    """Times a classifier inside Lightning's predict loop, so that device and precision are those of a real run."""

    found: dict[str, Any]

    def __init__(self, classifier: models.Classifier, shape: tuple[int, int, int], batch_size: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.shape = shape
        self.batch_size = batch_size
        self.step = PGD(epsilon=8, step_size=1, steps=1, random_start=False)

    def predict_step(self, batch: Any, index: int) -> Tensor:
        held = self.held(self.images(1))
        size, seconds = 1, self.seconds(self.attack, self.images(1))
        while size < self.batch_size and 2 * seconds < BATCH_SECONDS:
            try:
                larger = min(2 * size, self.batch_size)
                seconds = self.seconds(self.attack, self.images(larger))
                size = larger
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
        images = self.images(size)
        with peak_growth(self.device) as growth:
            attack = [seconds, self.seconds(self.attack, images)]
        forward = [self.seconds(self.forward, images)]
        started = time.perf_counter()
        while len(forward) < LEAST_ROUNDS or (
            len(forward) < MOST_ROUNDS and time.perf_counter() - started < ROUNDS_SECONDS
        ):
            forward.append(self.seconds(self.forward, images))
            if len(attack) < len(forward):
                attack.append(self.seconds(self.attack, images))
        weights = sum(tensor.nbytes for tensor in [*self.classifier.parameters(), *self.classifier.buffers()])
        grown = growth[0] if self.device.type == "cuda" else max(growth[0], size * held)
        rates = (size / statistics.median(forward), size / statistics.median(attack))
        self.found = dict(zip(RATES, rates, strict=True)) | {"peak_memory_bytes": weights + grown, "batch_size": size}
        return torch.tensor(rates)

    def images(self, size: int) -> Tensor:
        return torch.randint(0, 256, (size, *self.shape), dtype=torch.uint8, device=self.device)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images.float() / 255).float().argmax(dim=1)

    def attack(self, images: Tensor) -> Tensor:
        return self.step(self.classifier, images, torch.zeros(len(images), dtype=torch.int64, device=self.device), [])

    def seconds(self, work: Callable[[Tensor], Tensor], images: Tensor) -> float:
        self.wait()
        started = time.perf_counter()
        work(images)
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def held(self, images: Tensor) -> int:
        """Bytes that autograd holds between the forward and the backward pass of a step, weights not counted."""
        weights = {tensor.untyped_storage().data_ptr() for tensor in self.classifier.parameters()}
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self.attack(images)
        return sum(sizes.values())


@contextmanager
def peak_growth(device: torch.device) -> Iterator[list[int]]:
    """Afterwards holds by how many bytes memory grew at its peak, allocated on CUDA, resident on Linux; 0 elsewhere."""
    growth: list[int] = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield growth
        growth.append(torch.cuda.max_memory_allocated(device) - before)
        return
    before = resident("VmRSS", fresh=True)
    yield growth
    growth.append(resident("VmHWM") - before if before else 0)


def resident(quantity: str, *, fresh: bool = False) -> int:
    """Bytes of this process as Linux counts them, VmRSS now or VmHWM at its peak; 0 on other systems. `fresh`: after
    memory that is not in use has been given back, and with the peak starting anew."""
    try:
        if fresh:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except (OSError, AttributeError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(quantity)), 0)


def memory_size(hardware: Hardware) -> float:
    """Bytes of memory of the device, or of the machine where the CPU computes; infinite where no system says so."""
    device = hardware.device
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def network(config: DictConfig) -> tuple[str, int]:
    """What names a model's network in a table, whatever its weights: model and input_size."""
    facts: Any = OmegaConf.to_container(config.network, resolve=True)
    target = facts.pop("_target_")
    name = facts.pop("model_name", target)
    arguments = f" {json.dumps(facts, sort_keys=True)}" if facts else ""
    return f"{name}{arguments}", int(models.preprocessing(config).size)


def key_facts(key: tuple[str, int]) -> dict[str, Any]:
    return dict(zip(NETWORK, key, strict=True))


def read(path: Path) -> pd.DataFrame:
    """A table of throughput, empty where there is no such file; UserError where it cannot be read as one."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = pd.read_csv(path, dtype={"model": str, "device": str, "precision": str, "torch": str})
        missing = [column for column in COLUMNS if column not in table]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        numbers = table[[*RATES, "load_seconds", "parameters", "peak_memory_bytes", "batch_size"]].astype(float)
        if not (np.isfinite(numbers).all(axis=None) and (numbers > 0).all(axis=None)):
            raise ValueError("numbers that are missing or not above 0")
        return table[COLUMNS].astype({"input_size": int, "threads": int} | dict.fromkeys(RATES, float))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a table of throughput ({one_line(error)}): move it away and measure again with "
            "task.measure=true"
        ) from error


def add(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the table at `path`, all or nothing; several processes may."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            rows = [*read(path).to_dict("records"), {column: row[column] for column in COLUMNS}]
            partial = path.with_suffix(".partial")
            pd.DataFrame(rows).to_csv(partial, index=False, float_format="%.6g")
            partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}; give output_dir=FOLDER") from error


def keyed(table: pd.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows of `table` by network, the last where there are several."""
    return {(row["model"], row["input_size"]): row for row in table.to_dict("records")}


def on(machine: Machine, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `table` that were measured on `machine`."""
    return table[(table[MACHINE] == list(vars(machine).values())).all(axis=1)]


def nearest(machine: Machine, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the one machine of `table` that resembles `machine` most."""
    if table.empty:
        return table
    candidates = [Machine(*facts) for facts in table[MACHINE].drop_duplicates().itertuples(index=False)]

    def likeness(other: Machine) -> tuple[bool, ...]:
        kind = (machine.threads == 0) == (other.threads == 0)
        return kind, machine.device == other.device, machine.precision == other.precision

    return on(max(candidates, key=likeness), table)


def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or os.name


@contextmanager
def watched(total: int) -> Iterator[Callable[[str], None]]:
    """Progress over `total` models, told when each is begun."""
    counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("measure {task.description:<28}"), BarColumn(), *counts, disable=not total) as progress:
        task = progress.add_task("", total=total)
        begun: list[str] = []

        def began(name: str) -> None:
            progress.update(task, description=name, completed=len(begun))
            begun.append(name)

        yield began
        progress.update(task, completed=total)
