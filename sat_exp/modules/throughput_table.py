"""Tables of throughput: the speed and the memory of networks, as CSV files.

One row per network, input size, device, number of threads and precision:

- model: timm's architecture.tag followed by further arguments, or the `_target_` of another network
- input_size: pixels of a side
- forward_images_per_second, attack_step_images_per_second: medians over batches of batch_size images from the canvas,
  including the classifier's own resize; a step is one of PGD, gradient and update
- load_seconds: time to build the network, with random weights, and to hash it
- parameters: their number
- peak_memory_bytes: the weights and the memory that an attack step on such a batch adds: allocated on CUDA; elsewhere
  the memory that autograd keeps for the gradient, or the growth of the process where Linux reports more
- batch_size, device, threads (0 where an accelerator computes), precision (Lightning's name and other settings that
  change numerics), torch: the conditions of the measurement
"""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from sat_exp import files, models
from sat_exp.errors import UserError, explained
from sat_exp.modules.hardware import Hardware

SHIPPED = Path(__file__).parent / "throughput.csv"
MACHINE = ["device", "threads", "precision"]
RATES = ["forward_images_per_second", "attack_step_images_per_second"]
NUMBERS = [*RATES, "load_seconds", "parameters", "peak_memory_bytes", "batch_size"]
COLUMNS = ["model", "input_size", *NUMBERS, *MACHINE, "torch"]

Key = tuple[str, int]  # a network in a table: model and input_size


@dataclass(frozen=True)
class Machine:
    """The conditions that a measurement of speed depends on."""

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

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `table` that were measured on this machine."""
        return table[(table[MACHINE] == list(vars(self).values())).all(axis=1)]

    def most_similar(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the machine in `table` that is most similar to this one: by kind, then device, then precision."""
        if table.empty:
            return table
        candidates = [Machine(*facts) for facts in table[MACHINE].drop_duplicates().itertuples(index=False)]

        def similarity(other: Machine) -> tuple[bool, ...]:
            kind = (self.threads == 0) == (other.threads == 0)
            return kind, self.device == other.device, self.precision == other.precision

        return max(candidates, key=similarity).rows(table)


def key_of(config: DictConfig) -> Key:
    """The key of a model's network, which does not depend on its weights."""
    facts: Any = OmegaConf.to_container(config.network, resolve=True)
    target = facts.pop("_target_")
    name = facts.pop("model_name", target)
    arguments = f" {json.dumps(facts, sort_keys=True)}" if facts else ""
    return f"{name}{arguments}", int(models.preprocessing(config).size)


def read(path: Path) -> pd.DataFrame:
    """A table of throughput, empty where there is no such file; UserError where the file is not such a table."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    advice = "move it away and measure again with task.measure=true"
    with explained(f"{path} is not a table of throughput", advice, OSError, ValueError):
        table = pd.read_csv(path, dtype={"model": str, "device": str, "precision": str, "torch": str})
        missing = [column for column in COLUMNS if column not in table]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        numbers = table[NUMBERS].astype(float)
        if not (np.isfinite(numbers).all(axis=None) and (numbers > 0).all(axis=None)):
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


def by_network(table: pd.DataFrame) -> dict[Key, dict[str, Any]]:
    """The rows of `table` by network, the last where there are several."""
    return {(row["model"], row["input_size"]): row for row in table.to_dict("records")}


def processor() -> str:
    """The name of the processor, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or os.name
