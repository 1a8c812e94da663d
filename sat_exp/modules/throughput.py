"""The throughput of networks on this machine: measured here, or scaled from the table of another machine.

A table of throughput is a CSV file with a row per network, input size, device, number of threads and precision:

- model: timm's architecture.tag followed by further arguments, or the `_target_` of another network
- input_size: pixels of a side; parameters: their number
- forward_images_per_second, attack_step_images_per_second: medians over batches of batch_size images from the canvas,
  including the classifier's own resize; a step is one of PGD, gradient and update
- load_seconds: time to build the network, with random weights, and to hash it
- peak_memory_bytes: the weights and the memory that an attack step on such a batch adds: allocated on CUDA; elsewhere
  the memory that autograd keeps for the gradient, or the growth of the process where Linux reports more
- threads: 0 where an accelerator computes; precision: Lightning's, and other settings that change numbers
"""

import ctypes
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from lightning import LightningModule
from more_itertools import unique_everseen
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader

from sat_exp import files, models
from sat_exp.attacks import PGD
from sat_exp.errors import UserError, explained, one_line
from sat_exp.modules.hardware import Hardware
from sat_exp.numerics import applied, calibrate

RATES = ["forward_images_per_second", "attack_step_images_per_second"]
SHIPPED = Path(__file__).parent / "throughput.csv"
MACHINE = ["device", "threads", "precision"]
NUMBERS = [*RATES, "load_seconds", "parameters", "peak_memory_bytes", "batch_size"]
COLUMNS = ["model", "input_size", *NUMBERS, *MACHINE, "torch"]

REFERENCES = ("resnet50", "deit_small", "convnext_tiny")
"""The models, of conf/model, whose speed here, compared with the shipped table, scales that table to this machine."""

CHEAP_SECONDS = 120.0  # networks are measured for this long before the user must choose task.measure=true
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
ROUNDS_SECONDS = 3.0
"""A round is one forward batch and one attack step. Rounds end after `LEAST_ROUNDS` and this time, or `MOST_ROUNDS`."""
BATCH_SECONDS = 2.0
"""The batch is doubled, up to hardware.batch_size, while the next attack step is expected to take no longer."""

CALIBRATED = 64  # images for the choice of fast numerics

Key = tuple[str, int]  # a network in a table: model and input_size
Rows = dict[Key, dict[str, Any]]  # the rows of a table, by network


@dataclass(frozen=True)
class Throughput:
    """rows: one per model, in order: its name, the columns of a table, `source` (measured, scaled), `slow` and `fast`,
    the factors between which its rates may be off. failures: the reasons by name. notes: how rates were scaled."""

    rows: pd.DataFrame
    failures: dict[str, str]
    notes: list[str]


@dataclass(frozen=True)
class Machine:
    """The conditions that a measurement of speed depends on."""

    device: str
    threads: int
    precision: str

    @classmethod
    def of(cls, hardware: Hardware) -> "Machine":
        device = hardware.device
        precision = hardware.in_effect + " fast" * (hardware.numerics == "fast")
        if device.type == "cpu":
            return cls(processor(), torch.get_num_threads(), precision)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return cls(name, 0, precision)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[(table[MACHINE] == list(vars(self).values())).all(axis=1)]

    def most_similar(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the machine in `table` that is most similar to this one: by kind, then device, then precision."""
        if table.empty:
            return table
        kind = (table["threads"] == 0) == (self.threads == 0)
        similarity = 4 * kind + 2 * (table["device"] == self.device) + (table["precision"] == self.precision)
        return Machine(*table[MACHINE].iloc[similarity.argmax()]).rows(table)


class Measured:
    """The networks measured on this machine, in the file `table`. known: their rows. failed: why others have none."""

    def __init__(self, hardware: Hardware, canvas: int, table: Path) -> None:
        self.hardware, self.canvas, self.table = hardware, canvas, table
        self.machine = Machine.of(hardware)
        self.known = by_network(self.machine.rows(read(table)))
        self.failed: dict[Key, str] = {}

    def measure(self, configs: Sequence[DictConfig], deadline: float = float("inf")) -> None:
        """Measure the networks of `configs` that are not known yet; UserError where `deadline` passes too early."""
        missing = [config for config in unique_everseen(configs, key_of) if key_of(config) not in self.known]
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress("measure {task.description:<28}", *columns, disable=not missing) as progress:
            task = progress.add_task("", total=len(missing))
            for position, config in enumerate(missing):
                if time.perf_counter() > deadline:
                    unknown = f"no table has the throughput of {len(missing) - position} of these models"
                    raise UserError(f"{unknown}: measure them once, with task.measure=true")
                progress.update(task, description=config.name)
                key = key_of(config)
                try:
                    row = timed(config, self.hardware, self.canvas)
                except (UserError, RuntimeError) as error:
                    self.failed[key] = one_line(error)
                else:
                    self.known[key] = {"model": key[0], "input_size": key[1]} | row | vars(self.machine)
                    add(self.table, self.known[key])
                progress.advance(task)


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
    table, scaled by `references`, else measured now. Measurements are added to `table`. canvas: pixels of a side of the
    images. measure: measure everything that `table` lacks, and scale nothing."""
    measured = Measured(hardware, canvas, table)
    keys = [key_of(config) for config in configs]
    notes: list[str] = []
    scaled: Rows = {}
    if not measure:
        basis = by_network(measured.machine.most_similar(read(shipped)))
        if any(key in basis and key not in measured.known for key in keys):
            measured.measure([reference for reference in references if key_of(reference) in basis])
            scaled, note = scale(basis, measured.known)
            notes.append(note)
    unknown = [config for config, key in zip(configs, keys, strict=True) if key not in scaled]
    measured.measure(unknown, float("inf") if measure else time.perf_counter() + CHEAP_SECONDS)
    exact = {"source": "measured", "slow": 1.0, "fast": 1.0}
    found = scaled | {key: row | exact for key, row in measured.known.items()}
    named = [(config.name, key) for config, key in zip(configs, keys, strict=True)]
    rows = [{"name": name} | found[key] for name, key in named if key in found]
    failures = {name: measured.failed[key] for name, key in named if key not in found}
    if not rows:
        raise UserError(f"no model could be measured: {next(iter(failures.values()))}")
    return Throughput(pd.DataFrame(rows), failures, notes)


def scale(basis: Rows, here: Rows) -> tuple[Rows, str]:
    """The rows of `basis` with their rates times the median ratio over the networks in both tables, and a line about
    it. `slow` and `fast`: the least and the greatest of the ratios divided by their median, over both rates."""
    if not (common := [key for key in basis if key in here]):
        raise UserError("none of the reference models could be measured here: measure all with task.measure=true")
    ratios = pd.DataFrame([{rate: here[key][rate] / basis[key][rate] for rate in RATES} for key in common])
    middle, off = ratios.median(), (ratios / ratios.median()).to_numpy()
    origin = next(iter(basis.values()))
    threads = f", {origin['threads']} thread{'s' * (origin['threads'] > 1)}" if origin["threads"] else ""
    note = (
        f"scaled to this machine from {origin['device']}{threads}, {origin['precision']}: "
        f"{middle[RATES[0]]:.2f} times its speed forward and {middle[RATES[1]]:.2f} times in an attack step, single "
        f"networks {off.min():.2f} to {off.max():.2f} times that ({len(common)} measured on both)"
    )
    factors = {"source": "scaled", "slow": off.min(), "fast": off.max()}
    return {key: row | {rate: row[rate] * middle[rate] for rate in RATES} | factors for key, row in basis.items()}, note


def key_of(config: DictConfig) -> Key:
    """The key of a model's network, which does not depend on its weights."""
    facts: Any = OmegaConf.to_container(config.network, resolve=True)
    name = facts.pop("model_name", facts.pop("_target_"))
    arguments = f" {json.dumps(facts, sort_keys=True)}" if facts else ""
    return f"{name}{arguments}", int(models.preprocessing(config).size)


def read(path: Path) -> pd.DataFrame:
    """The table of throughput at `path`, empty where there is no file; UserError where it is not such a table."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    advice = "move it away and measure again with task.measure=true"
    with explained(f"{path} is not a table of throughput", advice, OSError, ValueError):
        table = pd.read_csv(path, dtype=dict.fromkeys(["model", "device", "precision", "torch"], str))
        if missing := [column for column in COLUMNS if column not in table]:
            raise ValueError(f"no column {', '.join(missing)}")
        numbers = table[NUMBERS].astype(float)
        if not (np.isfinite(numbers) & (numbers > 0)).all(axis=None):
            raise ValueError("numbers that are missing or not above 0")
        return table[COLUMNS].astype({"input_size": int, "threads": int} | dict.fromkeys(RATES, float))


def add(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the table at `path`, atomically; several processes may do so at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            rows = [*read(path).to_dict("records"), {column: row[column] for column in COLUMNS}]
            files.write_atomic(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}; give output_dir=FOLDER") from error


def by_network(table: pd.DataFrame) -> Rows:
    """The rows of `table` by network, the last where there are several."""
    return {(row["model"], row["input_size"]): row for row in table.to_dict("records")}


def processor() -> str:
    """The name of the processor, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine() or os.name)


def timed(config: DictConfig, hardware: Hardware, canvas: int) -> dict[str, Any]:
    """The throughput of one model with random weights, as columns of a table of throughput. canvas: side in pixels."""
    untrained: Any = OmegaConf.merge(config, {"pretrained": False, "checkpoint": None})
    started = time.perf_counter()
    model = models.load(untrained)
    seconds = time.perf_counter() - started
    shape = (len(models.preprocessing(untrained).mean), canvas, canvas)
    stopwatch = Stopwatch(hardware.place(model.classifier), shape, hardware)
    trainer = hardware.trainer(inference_mode=False, enable_progress_bar=False)
    trainer.predict(stopwatch, DataLoader(range(1), batch_size=None), return_predictions=False)  # type: ignore[arg-type]
    facts = {"load_seconds": seconds, "parameters": model.parameters, "torch": torch.__version__}
    return facts | stopwatch.measured


class Stopwatch(LightningModule):
    """Times a classifier inside Lightning's predict loop, so that device and precision are those of a real run."""

    measured: dict[str, Any]  # rates, peak memory and batch size, as columns of a table

    def __init__(self, classifier: models.Classifier, shape: tuple[int, int, int], hardware: Hardware) -> None:
        super().__init__()
        self.classifier, self.shape, self.batch_size = classifier, shape, hardware.batch_size
        self.step = PGD(epsilon=8, step_size=1, steps=1, random_start=False)
        self.attacked = self.evaluated = (classifier,)
        if hardware.numerics == "fast":
            images = torch.randint(0, 256, (CALIBRATED, *shape), dtype=torch.uint8)
            choice = calibrate(classifier, images, torch.zeros(CALIBRATED, dtype=torch.int64), hardware.device)
            names = choice.attack, choice.evaluation
            self.attacked, self.evaluated = ((applied(classifier, each),) for each in names)

    def predict_step(self, batch: Any, index: int) -> Tensor:
        autograd_bytes = self.autograd_bytes(self.images(1))
        size, seconds = self.largest_batch()
        images = self.images(size)
        before = memory(self.device, peak=False)
        attack = [seconds, self.seconds(self.attack, images)]
        grown = memory(self.device, peak=True) - before if before else 0
        forward = [self.seconds(self.forward, images)]
        latest = time.perf_counter() + ROUNDS_SECONDS
        while len(forward) < LEAST_ROUNDS or (len(forward) < MOST_ROUNDS and time.perf_counter() < latest):
            forward.append(self.seconds(self.forward, images))
            if len(attack) < len(forward):
                attack.append(self.seconds(self.attack, images))
        weights = sum(tensor.nbytes for tensor in [*self.classifier.parameters(), *self.classifier.buffers()])
        if self.device.type != "cuda":
            grown = max(grown, size * autograd_bytes)
        rates = [size / statistics.median(times) for times in (forward, attack)]
        self.measured = dict(zip(RATES, rates, strict=True))
        self.measured |= {"peak_memory_bytes": weights + grown, "batch_size": size}
        return torch.tensor(rates)

    def largest_batch(self) -> tuple[int, float]:
        """The size of the batches to time, and the seconds of one attack step on such a batch."""
        size, seconds = 1, self.seconds(self.attack, self.images(1))
        while size < self.batch_size and 2 * seconds < BATCH_SECONDS:
            larger = min(2 * size, self.batch_size)
            try:
                seconds = self.seconds(self.attack, self.images(larger))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
            size = larger
        return size, seconds

    def images(self, size: int) -> Tensor:
        return torch.randint(0, 256, (size, *self.shape), dtype=torch.uint8, device=self.device)

    def forward(self, images: Tensor) -> Tensor:
        return self.evaluated[0](images.float() / 255).float().argmax(dim=1)

    def attack(self, images: Tensor) -> Tensor:
        labels = torch.zeros(len(images), dtype=torch.int64, device=self.device)
        return self.step(self.attacked[0], images, labels, labels)

    def seconds(self, work: Callable[[Tensor], Tensor], images: Tensor) -> float:
        wait = torch.accelerator.synchronize if self.device.type != "cpu" else lambda: None
        wait()
        started = time.perf_counter()
        work(images)
        wait()
        return time.perf_counter() - started

    def autograd_bytes(self, images: Tensor) -> int:
        """Bytes that autograd keeps between the forward and the backward pass of a step, without weights."""
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


def memory(device: torch.device, *, peak: bool) -> int:
    """Bytes of this process, allocated on CUDA, resident on Linux, 0 elsewhere: at the peak, or now, once unused memory
    is freed and the peak is reset."""
    if device.type == "cuda":
        if peak:
            return torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        if not peak:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except (OSError, AttributeError):
        return 0
    quantity = "VmHWM" if peak else "VmRSS"
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(quantity)), 0)
