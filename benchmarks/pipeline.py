"""Measure the time that Lightning and the store add to a bare attack, and whether memory grows with the images.

    python benchmarks/pipeline.py [--model fashion_resnet] [--images 128] [--steps 20]

Time: three ways run the same attack on the same batches in turn. They are a bare loop, a bare loop that stores its
images, and the project's code (Lightning's predict loop, reading and writing the store). The table has the median over
the turns of the ratio to the bare loop of the same turn, and the ratio of the fastest turns. Memory: the peak of whole
measurements of Fashion-MNIST enlarged to 224×224, each in a new process; 1,000 images are 50 MB.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

import sat_exp.models
from sat_exp import models
from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST, ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.measurement import Measurement
from sat_exp.modules.clock import Clock
from sat_exp.modules.hardware import Hardware, Runner
from sat_exp.modules.prediction import AttackBatches, Generation
from sat_exp.modules.streaming import Sink
from sat_exp.store import Store

CONF = Path(__file__).parents[1] / "conf" / "model"
BUNDLED = Path(sat_exp.models.__file__).parent / "bundled"
ENLARGED = 7


def bundled(name: str) -> DictConfig:
    """The configuration of a bundled model."""
    config = OmegaConf.load(CONF / f"{name}.yaml")
    assert isinstance(config, DictConfig)
    config.pop("defaults", None)
    config.checkpoint = str(BUNDLED / f"{name}.safetensors")
    return config


def measurement(images: ImageSet, folder: Path, steps: int, batch_size: int) -> Measurement:
    attack = PGD(epsilon=16, step_size=2, steps=steps, random_start=True)
    hardware = Hardware("cpu", "32-true", batch_size=batch_size, threads=1, workers=1)
    return Measurement(images, attack, Store.at(folder), hardware, seed=0)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds of each way, turn by turn."""
    study = measurement(FashionMNIST(None, options.images, 0).images, folder, options.steps, options.batch_size)
    pixels = study.views.view(study.images.canvas).pixels
    classifier = models.load(bundled(options.model)).classifier
    rows, labels = np.arange(len(study.images)), study.images.labels
    outputs = 0

    def batches() -> AttackBatches:
        nonlocal outputs
        outputs += 1
        facts, chunk = {"output": outputs}, study.hardware.chunk
        output = study.store.open("adversarial", facts, shape=pixels.shape, dtype="uint8", chunk=chunk)
        inputs = rows, labels, study.stages.seeds
        return AttackBatches(options.model, pixels, output, inputs, range(output.chunks), options.batch_size)

    loaded = [batch for work in [batches()] for batch in (work[position] for position in range(len(work)))]

    def bare(sink: Sink | None) -> None:
        for batch in loaded:
            adversarial = study.attack(classifier, batch["images"], batch["labels"], batch["seeds"])
            if sink is not None:
                sink.add(adversarial.numpy())

    def stored() -> float:
        sink = batches().sink
        return timed(lambda: bare(sink))

    def lightning() -> float:
        work, clock = batches(), Clock(study.hardware.device)
        module = Generation(Runner(classifier), study.attack, clock)
        return timed(lambda: study.stages.predict(module, work, clock, options.model))

    bare(None)
    ways = {
        "bare loop": lambda: timed(lambda: bare(None)),
        "bare loop, stored": stored,
        "Lightning and the store": lightning,
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, work in ways.items():
            seconds[way].append(work())
    return seconds


def peak(images: int, model: str) -> None:
    """Measure a model on enlarged images and print the peak memory of this process in bytes, before and after."""
    small = FashionMNIST(None, images, 0).images
    large = small.on(Canvas(ENLARGED * 32, ENLARGED * 32, "bicubic", "L"))
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measurement(large, Path(folder), steps=1, batch_size=64).run([models.Configured(bundled(model))])
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"before": before * 1024, "after": after * 1024}))


def peak_elsewhere(images: int, model: str) -> dict[str, int]:
    command = [sys.executable, __file__, "--model", model, "--peak", str(images)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fashion_resnet")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="*", default=[1000, 4000], help="numbers of images")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        peak(options.peak, options.model)
        return
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        seconds = compare(options, Path(folder))
    title = f"{options.model}, {options.images} images in batches of {options.batch_size}, {options.steps} steps"
    table = Table("way", title=title, title_justify="left")
    for heading in ("fastest, s", "fastest, ratio", "median ratio"):
        table.add_column(heading, justify="right")
    bare = seconds["bare loop"]
    for way, times in seconds.items():
        ratio = statistics.median(time / other for time, other in zip(times, bare, strict=True))
        table.add_row(way, f"{min(times):.2f}", f"{min(times) / min(bare):.3f}", f"{ratio:.3f}")
    console.print(table)
    table = Table("images", title="peak memory of a measurement of 1×224×224 images", title_justify="left")
    for heading in ("pixels, MB", "after imports, MB", "peak, MB", "peak, ratio"):
        table.add_column(heading, justify="right")
    first = 0
    for images in options.memory:
        memory = peak_elsewhere(images, options.model)
        first = first or memory["after"]
        pixels = images * (ENLARGED * 32) ** 2
        values = [f"{value / 1e6:.0f}" for value in (pixels, memory["before"], memory["after"])]
        table.add_row(f"{images:,}", *values, f"{memory['after'] / first:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
