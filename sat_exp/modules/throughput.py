"""The throughput of networks on this machine: measured here, or scaled from the table of another machine."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sat_exp.errors import UserError, one_line
from sat_exp.modules import stopwatch
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.throughput_table import RATES, SHIPPED, Key, Machine, add, by_network, key_of, read

REFERENCES = ("resnet50", "deit_small", "convnext_tiny")
"""The models, of conf/model, whose speed here, compared with the shipped table, scales that table to this machine."""

CHEAP_SECONDS = 120.0
"""Networks without a known throughput are measured for this long before the user must choose task.measure=true."""


@dataclass(frozen=True)
class Throughput:
    """rows: one per model, in order: its name, the columns of a table, `source` (measured, or scaled), and `slow` and
    `fast`, the factors between which its rates may be off, 1 where measured. failures: name → the reason why a model
    could not be measured. notes: how rates were scaled."""

    rows: pd.DataFrame
    failures: dict[str, str]
    notes: list[str]


@dataclass
class Measured:
    """The networks measured on this machine.

    canvas: pixels of a side of the images. table: the file that measurements are added to. known: the row of each
    network. failed: the reason why a network could not be measured.
    """

    hardware: Hardware
    canvas: int
    table: Path
    machine: Machine
    known: dict[Key, dict[str, Any]]
    failed: dict[Key, str] = field(default_factory=dict)

    def measure(self, configs: Sequence[DictConfig], deadline: float = float("inf")) -> None:
        """Measure the networks of `configs` that are not known yet; UserError where `deadline` passes too early."""
        missing: dict[Key, DictConfig] = {}
        for config in configs:
            if (key := key_of(config)) not in self.known:
                missing.setdefault(key, config)
        counts = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        name = TextColumn("measure {task.description:<28}")
        with Progress(name, BarColumn(), *counts, disable=not missing) as progress:
            task = progress.add_task("", total=len(missing))
            for position, (key, config) in enumerate(missing.items()):
                if time.perf_counter() > deadline:
                    failure = f"no table has the throughput of {len(missing) - position} of these models"
                    raise UserError(f"{failure}: measure them once, with task.measure=true")
                progress.update(task, description=config.name)
                try:
                    row = stopwatch.measure(config, self.hardware, self.canvas)
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
    table, scaled by `references`, else measured now. Measurements are added to `table`.

    canvas: pixels of a side of the images. measure: measure everything that `table` lacks, and scale nothing.
    """
    machine = Machine.of(hardware)
    measured = Measured(hardware, canvas, table, machine, by_network(machine.rows(read(table))))
    notes: list[str] = []
    scaled: dict[Key, dict[str, Any]] = {}
    if not measure:
        basis = by_network(machine.most_similar(read(shipped)))
        if any(key_of(config) in basis and key_of(config) not in measured.known for config in configs):
            measured.measure([reference for reference in references if key_of(reference) in basis])
            scaled, note = scale(basis, measured.known)
            notes.append(note)
    unknown = [config for config in configs if key_of(config) not in scaled]
    measured.measure(unknown, float("inf") if measure else time.perf_counter() + CHEAP_SECONDS)
    exact = {"source": "measured", "slow": 1.0, "fast": 1.0}
    found = scaled | {key: row | exact for key, row in measured.known.items()}
    rows = [{"name": config.name} | found[key_of(config)] for config in configs if key_of(config) in found]
    failures = {config.name: measured.failed[key_of(config)] for config in configs if key_of(config) not in found}
    if not rows:
        raise UserError(f"no model could be measured: {next(iter(failures.values()))}")
    return Throughput(pd.DataFrame(rows), failures, notes)


def scale(basis: dict[Key, dict[str, Any]], here: dict[Key, dict[str, Any]]) -> tuple[dict[Key, dict[str, Any]], str]:
    """The rows of `basis` with the rates expected here, and a line about the scaling.

    Rates are multiplied by their median ratio over the networks in both tables. `slow` and `fast` are the least and the
    greatest of these ratios divided by that median, over both rates.
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
    factors = {"source": "scaled", "slow": min(off), "fast": max(off)}
    return {key: row | {rate: row[rate] * middle[rate] for rate in RATES} | factors for key, row in basis.items()}, note
