"""What a GPU makes of all this, in ten minutes: tests, speed of the 69 networks, the time of the paper's study.

    python benchmarks/gpu.py [--minutes 10] [--folder outputs/gpu] [--kind bf16] [--device cuda]

It needs no weights, no data set and no network: networks have random weights, images are random pixels. Neither
affects the time. All results are written to one folder as they come, so that a run that is cut off leaves what it had:

- environment.json  the card and the versions
- tests.txt         the tests marked `gpu`, where pytest is installed
- throughput.csv    forward passes and attack steps a second of the networks, a table for task=plan
- step.csv          one attack step in every numerics against exact float32, for some networks, in turn
- sat69.json        the time of the study by the table: 69 networks, 5,000 images, 50 steps, all images attacked
- study.csv, .json  a real measurement of some networks: seconds by activity, efficiency, and the time by the table

Every eighth network comes first, then the next ones, so that a cut-off run has a fair sample. The others of the 69 are
then taken as its mean; `sat69.json` states how many were measured.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from sat_exp import models
from sat_exp.attacks import PGD
from sat_exp.datasets import ImageSet
from sat_exp.datasets.image_set import of_pixels
from sat_exp.errors import UserError, one_line
from sat_exp.measurement import Measurement
from sat_exp.measurement.tables import efficiency, time_table
from sat_exp.modules import throughput
from sat_exp.modules.hardware import Hardware
from sat_exp.names import CONF
from sat_exp.store import Store
from sat_exp.studies.plan import planning
from sat_exp.tasks import composing

ROOT = Path(__file__).parents[1]
CANVAS = 224
IMAGES, STEPS = 5000, 50  # of the study of the paper
COMPARED = ("resnet50", "convnext_tiny", "deit_small", "mixer_b16")
STUDIED = ("resnet50", "deit_small", "convnext_tiny", "regnety_032", "mixer_b16")
NUMERICS: dict[str, dict[str, Any]] = {
    "exact": {},
    "fast": {"numerics": "fast"},
    "channels_last": {"channels_last": True},
    "tf32": {"tf32": True},
    "tf32 channels_last": {"tf32": True, "channels_last": True},
    "bf16": {"precision": "bf16-mixed"},
    "bf16 channels_last": {"precision": "bf16-mixed", "channels_last": True},
}


def hardware(device: str, numerics: str, batch_size: int) -> Hardware:
    settings = {"precision": "32-true"} | NUMERICS[numerics]
    return Hardware("gpu" if device == "cuda" else "cpu", batch_size=batch_size, threads=None, workers=8, **settings)


def configurations() -> Iterator[tuple[str, DictConfig]]:
    """The 69 networks of the paper with random weights; every eighth first, then the next ones."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        names = list(hydra.compose("config", overrides=["pool=paper69"]).pool.models)
        for start in range(8):
            for name in names[start::8]:
                yield name, untrained(composing.stated(name))


def untrained(config: DictConfig) -> DictConfig:
    merged = OmegaConf.merge(config, {"pretrained": False, "checkpoint": None})
    assert isinstance(merged, DictConfig)
    return merged


def environment(device: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "python": sys.version.split()[0]}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        facts |= {"card": properties.name, "memory": properties.total_memory, "cudnn": torch.backends.cudnn.version()}
    return facts


def tests(folder: Path, seconds: float) -> str:
    """The last line of the tests marked `gpu`."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"]
    with (folder / "tests.txt").open("w") as output:
        try:
            subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            output.write(f"cut off after {seconds:.0f} s\n")
    return (folder / "tests.txt").read_text().strip().splitlines()[-1]


def speeds(folder: Path, chosen: Hardware, until: float) -> pd.DataFrame:
    """The rows of throughput of as many networks as there is time for."""
    rows = []
    for name, config in configurations():
        if time.monotonic() > until:
            break
        try:
            model, size = throughput.key_of(config)
            row = {"model": model, "input_size": size} | throughput.timed(config, chosen, CANVAS)
        except (UserError, RuntimeError) as error:
            print(f"{name}: {one_line(error)}", flush=True)
            continue
        row |= vars(throughput.Machine.of(chosen))
        throughput.add(folder / "throughput.csv", row)
        rows.append({"name": name, "slow": 1.0, "fast": 1.0} | row)
        forward, step = (row[rate] for rate in throughput.RATES)
        print(f"{name:<28} {forward:>9,.0f} images/s {step:>9,.0f} steps/s", flush=True)
    return pd.DataFrame(rows)


def projected(table: pd.DataFrame, card: str) -> dict[str, Any]:
    """The time of the study of 69 networks, from those in the table."""
    plan = planning.times(table, IMAGES, STEPS, {})
    stages = {stage: float(plan[stage].sum() * 69 / len(plan)) for stage in planning.STAGES}
    transfer = plan["transfer_seconds"].sum() * (69 / len(plan)) ** 2  # sources and targets
    stages["transfer_seconds"] = float(transfer)
    whole = sum(stages.values())
    return {"card": card, "networks_measured": len(plan), "minutes": whole / 60, **stages}


def steps(folder: Path, device: str, batch_size: int, until: float, kinds: Sequence[str]) -> None:
    """Attack steps a second of some networks in every numerics, as ratios to exact in the same turn."""
    found = dict(configurations())
    rows = []
    for name in COMPARED:
        exact = None
        for kind in kinds:
            if time.monotonic() > until:
                break
            rate = throughput.timed(found[name], hardware(device, kind, batch_size), CANVAS)[throughput.RATES[1]]
            exact = exact or rate
            rows.append({"model": name, "numerics": kind, "steps_per_second": rate, "ratio": rate / exact})
            print(f"{name:<28} {kind:<20} {rate:>9,.0f} steps/s {rate / exact:>6.2f} × exact", flush=True)
            pd.DataFrame(rows).to_csv(folder / "step.csv", index=False)


def study(folder: Path, chosen: Hardware, table: pd.DataFrame, images: int, names: Sequence[str]) -> None:
    """Measure some networks for real, and compare the time with that by the table."""
    found = dict(configurations())
    candidates = [models.Configured(found[name]) for name in names]
    attack = PGD(epsilon=8, step_size=1, steps=STEPS)
    store = Store.at(folder / "store")
    started = time.perf_counter()
    prepared = Measurement(random_images(images), attack, store, chosen, seed=0, labels="own")
    measured = prepared.run(candidates)
    wall = time.perf_counter() - started
    time_table(measured.seconds).to_csv(folder / "study.csv", index=False)
    rows = table[table["name"].isin(names)] if len(table) else table
    by_table = float(planning.times(rows, images, STEPS, {})["seconds"].sum()) if len(rows) == len(names) else None
    facts = {"networks": len(names), "images": images, "seconds": wall, "by_the_table": by_table}
    facts |= {"efficiency": efficiency(measured.seconds), "timings": measured.timings, "failures": measured.failures}
    (folder / "study.json").write_text(json.dumps(facts, indent=1))
    print(json.dumps(facts), flush=True)


def random_images(count: int) -> ImageSet:
    """Random pixels on the canvas of ImageNet."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, CANVAS, CANVAS, 3), np.uint8)
    return of_pixels("random pixels", ("none",), "random", pixels, np.zeros(count, np.int64))


@contextmanager
def part(title: str) -> Iterator[None]:
    """Name a part and its time; a failure is printed and the next part begins."""
    print(f"\n== {title}", flush=True)
    started = time.monotonic()
    try:
        yield
    except Exception as error:
        print(f"failed: {type(error).__name__}: {one_line(error)}", flush=True)
    print(f"== {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path("outputs/gpu"))
    parser.add_argument("--kind", choices=NUMERICS, default="fast", help="numerics of the 69 networks")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--images", type=int, default=512, help="of the real measurement")
    parser.add_argument("--models", nargs="+", default=STUDIED, help="of the real measurement")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: no CUDA device here: give --device cpu to try the script")
    folder, begun = options.folder, time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    budget = 60 * options.minutes
    facts, table = environment(options.device), pd.DataFrame()
    (folder / "environment.json").write_text(json.dumps(facts, indent=1))
    print(json.dumps(facts), flush=True)
    chosen = hardware(options.device, options.kind, options.batch_size)
    with part("tests"):
        print(tests(folder, 0.2 * budget))
    with part(f"throughput, {options.kind}"):
        table = speeds(folder, chosen, begun + 0.6 * budget)
        found = projected(table, facts.get("card", "cpu"))
        (folder / "sat69.json").write_text(json.dumps(found, indent=1))
        print(json.dumps(found))
    with part("attack step by numerics"):
        steps(folder, options.device, options.batch_size, begun + 0.8 * budget, list(NUMERICS))
    with part(f"measurement of {len(options.models)} networks"):
        study(folder, chosen, table, options.images, options.models)


if __name__ == "__main__":
    main()
