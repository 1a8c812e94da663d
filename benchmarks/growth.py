"""Measure how the time, the memory and the disk space of a study grow with its images, models, steps and pixels.

    python benchmarks/growth.py [--series images models steps pixels scored_images scored_models] [--scale 1]

Each point is a new process: a Measurement of bundled networks in a new store, on one thread, after a first one of two
images that imports all that is needed. All images are attacked. For the pixels the networks are two small ResNets with
random weights that take the enlarged images as they are. Scoring is that of synthetic predictions, with intervals.

The named alternative is the law: a study of M models, N images and K steps takes N · Σ (K · step + (M + 1) · forward)
over the models, whose times of a step and a forward pass are those of the last point of the series. It writes the
images, M · N adversarial images, M · N logits of all classes and M² · N predictions of four bytes. Its peak memory does
not grow with M, N or K. Scoring takes M · (M + 1) / 2 · N.

An exponent is the slope of a line through the logarithms (least squares). The law has one too, over the same points: a
sum has no constant exponent. An exponent of more than 0.1 above that of the law is marked. Fixed costs lower it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from sat_exp import similarity
from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST
from sat_exp.datasets.canvas import Canvas
from sat_exp.measurement import Measured, Measurement
from sat_exp.models import Configured
from sat_exp.modules.hardware import Hardware
from sat_exp.names import CONF
from sat_exp.store import Store

Point = dict[str, int]
Found = dict[str, Any]  # what the process of a point prints

SIDE, CLASSES = 32, 10
TOLERANCE = 0.1
BUNDLED = (
    "resnet", "convnext", "vit", "resnet_seed1", "mixer", "swin", "resnet_sgd", "resmlp", "visformer",
    "convnext_seed1", "mobilenet", "nfnet",
)  # fmt: skip
QUANTITIES = {"seconds": "time, s", "busy": "CPU time, s", "peak": "peak memory, MB", "disk": "disk, MB"}


def series(scale: float) -> dict[str, list[Point]]:
    """Name → points. scale: of the number of images."""

    def study(images: int, models: int = 3, steps: int = 5, side: int = SIDE) -> Point:
        return {"images": max(2, round(scale * images)), "models": models, "steps": steps, "side": side}

    def scored(images: int, models: int) -> Point:
        return {"images": max(2, round(scale * images)), "models": models}

    return {
        "images": [study(count) for count in (150, 475, 1500)],
        "models": [study(150, models=count) for count in (3, 6, 12)],
        "steps": [study(300, steps=count) for count in (4, 10, 20)],
        "pixels": [study(64, models=2, side=side) for side in (32, 64, 128)],
        "scored_images": [scored(count, 69) for count in (500, 1600, 5000)],
        "scored_models": [scored(5000, count) for count in (17, 34, 69)],
    }


def network(number: int, side: int) -> Configured:
    """The bundled network of a number; for larger images a small ResNet with random weights."""
    if side == SIDE:
        config = OmegaConf.load(CONF / "model" / f"fashion_{BUNDLED[number]}.yaml")
        assert isinstance(config, DictConfig)
        config.pop("defaults", None)
        return Configured(config)
    config = OmegaConf.load(CONF / "model" / "fashion_resnet.yaml")
    assert isinstance(config, DictConfig)
    config.pop("defaults", None)
    own = {"name": f"resnet{number}", "checkpoint": None, "pretrained": False, "training": {"seed": number}}
    return Configured(OmegaConf.merge(config, own, {"input": {"size": side}}))


def study(point: Point) -> Found:
    """Measure a point in this process."""
    side = point["side"]
    hardware = Hardware("cpu", "32-true", batch_size=64, threads=1, workers=1)
    candidates = [network(number, side) for number in range(point["models"])]

    def measured(images: int, steps: int, folder: Path) -> Measured:
        data = FashionMNIST(None, images, 0).images
        enlarged = data if side == SIDE else data.on(Canvas(side, side, "bicubic", "L"))
        attack = PGD(epsilon=16, step_size=2, steps=steps)
        return Measurement(enlarged, attack, Store.at(folder), hardware, seed=0, labels="own").run(candidates)

    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as place:
        measured(2, 1, Path(first))
        found, result = timed(lambda: measured(point["images"], point["steps"], Path(place)))
        disk = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
    attacks, evaluations = point["images"] * point["steps"], point["images"] * point["models"]
    per_step = [result.seconds[each.name, "attack"] / attacks for each in candidates]
    per_image = [result.seconds[each.name, "transfer"] / evaluations for each in candidates]
    return found | {"disk": disk / 1e6, "step": per_step, "forward": per_image}


def scored(point: Point) -> Found:
    """Score synthetic predictions in this process: networks of 80% accuracy, a transfer rate of about 30%."""
    rng, images, models = np.random.default_rng(0), point["images"], point["models"]
    labels = rng.integers(0, 1000, images, np.int32)
    names = [f"model{number}" for number in range(models)]

    def changed(classes: np.ndarray, share: float) -> np.ndarray:
        return np.where(rng.random(images) < share, (classes + 1) % 1000, classes).astype(np.int32)

    clean = {name: changed(labels, 0.2) for name in names}
    attacked = {(source, target): changed(clean[target], 0.3) for source in names for target in names}
    predictions = similarity.Predictions(names, labels, clean, attacked)
    return timed(lambda: similarity.score(predictions, dict.fromkeys(names, "any")))[0]


def timed(work: Callable[[], Any]) -> tuple[Found, Any]:
    """The time of `work`, the peak memory of this process in MB, and the result."""
    started, busy = time.perf_counter(), time.process_time()
    result = work()
    found = {"seconds": time.perf_counter() - started, "busy": time.process_time() - busy}
    return found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}, result


def elsewhere(point: Point) -> Found:
    """Measure a point in a new process."""
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the point {point} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def law(points: Sequence[Point], found: Sequence[Found]) -> dict[str, list[float]]:
    """Quantity → what the law gives for the points, up to a factor."""
    if "steps" not in points[0]:
        growing = [each["models"] * (each["models"] + 1) / 2 * each["images"] for each in points]
        return {"seconds": growing, "busy": growing, "peak": growing}
    sizes = np.array([each["side"] ** 2 for each in points], float)
    times, space = [], []
    for each, size in zip(points, sizes, strict=True):
        models, images = each["models"], each["images"]
        costs = zip(found[-1]["step"][:models], found[-1]["forward"][:models], strict=True)
        whole = sum(each["steps"] * step + (models + 1) * forward for step, forward in costs)
        times.append(size * images * whole)
        space.append(images * ((models + 1) * size + 4 * models * CLASSES + 4 * models**2))
    return {"seconds": times, "busy": times, "peak": list(sizes), "disk": space}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log values against log sizes."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def varied(name: str, points: Sequence[Point]) -> list[float]:
    """What a series varies."""
    return [each["side"] ** 2 if name == "pixels" else each[name.removeprefix("scored_")] for each in points]


def show(name: str, points: Sequence[Point], found: Sequence[Found]) -> None:
    title = f"{name}: " + ", ".join(f"{key} {value}" for key, value in points[0].items() if key not in name)
    table = Table(name, title=title, title_justify="left")
    quantities = [key for key in QUANTITIES if key in found[0]]
    for key in quantities:
        table.add_column(QUANTITIES[key], justify="right")
    sizes, laws = varied(name, points), law(points, found)
    for size, each in zip(sizes, found, strict=True):
        table.add_row(f"{size:,}", *(f"{each[key]:.4g}" for key in quantities))
    table.add_section()
    measured = {key: exponent(sizes, [each[key] for each in found]) for key in quantities}
    allowed = {key: exponent(sizes, laws[key]) for key in quantities}
    table.add_row("exponent", *(f"{value:.2f}" for value in measured.values()))
    table.add_row("of the law", *(f"{value:.2f}" for value in allowed.values()))
    table.add_row("", *("ABOVE" if measured[key] > allowed[key] + TOLERANCE else "" for key in quantities))
    Console().print(table)


def least(found: Sequence[Mapping[str, Any]]) -> Found:
    """The fastest of the repeats of a point."""
    return dict(min(found, key=lambda each: each["busy"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=list(series(1)), default=list(series(1)))
    parser.add_argument("--scale", type=float, default=1, help="of all numbers of images")
    parser.add_argument("--repeats", type=int, default=2, help="of each point; the fastest counts")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(study(options.point) if "steps" in options.point else scored(options.point)))
        return
    for name in options.series:
        points = series(options.scale)[name]
        show(name, points, [least([elsewhere(each) for _ in range(options.repeats)]) for each in points])


if __name__ == "__main__":
    main()
