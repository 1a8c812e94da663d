"""Measure the pipeline efficiency: the share of a whole measurement's time that the networks need alone.

    python benchmarks/efficiency.py [--models resnet18 mobilenetv3_large_100 ...] [--images 32] [--steps 5]

The bare time is that of the networks alone, on images in memory: a forward and a backward pass for each step of the
attack, and a forward pass for each clean and each adversarial image. It has no attack, no random numbers, no
normalisation, no store and no loading. The measured time is that of a whole `Measurement` in a new
store, from decoding the images to reading the predictions back. Networks have random weights, and images are
Fashion-MNIST enlarged to 224×224; neither affects the time. Both are timed in turn; the last row is the median of the
ratios.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from sat_exp import models
from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST, ImageSet
from sat_exp.datasets.canvas import Canvas
from sat_exp.measurement import Measurement
from sat_exp.models import Classifier
from sat_exp.modules.hardware import Hardware
from sat_exp.store import Store

INPUT = {"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop": 1.0}


def untrained(name: str) -> DictConfig:
    """The configuration of a timm network with random weights."""
    return OmegaConf.create(
        {"name": name, "family": name, "label_space": "none", "classes": 1000, "pretrained": False}
        | {"checkpoint": None, "network": {"_target_": "timm.create_model", "model_name": name}}
        | {"input": INPUT, "components": {"stated": "nothing"}}
    )


def bare(images: ImageSet, steps: int, classifiers: list[Classifier], batch_size: int, device: str) -> float:
    """Seconds that the networks alone take, summed over the networks."""
    pixels = torch.from_numpy(np.stack([images.read(index) for index in range(len(images))])).to(device).float() / 255
    batches, seconds = pixels.split(batch_size), 0.0
    for classifier in classifiers:
        network = classifier.to(device).network
        started = time.perf_counter()
        for batch in batches:
            for _ in range(steps):
                x = batch.detach().requires_grad_()
                torch.autograd.grad(network(x).sum(), x)
            with torch.no_grad():
                for _ in range(1 + len(classifiers)):
                    network(batch)
        finish(device)
        seconds += time.perf_counter() - started
    return seconds


def finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mobilenetv3_large_100", "regnety_008", "resnet18"])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = FashionMNIST(None, options.images, 0).images.on(Canvas(224, 224, "bicubic", "RGB"))
    attack = PGD(epsilon=8, step_size=1, steps=options.steps, random_start=True)
    hardware = Hardware(device, "32-true", options.batch_size, threads=1, workers=1)
    configs = [untrained(name) for name in options.models]
    candidates = [models.Configured(config) for config in configs]
    classifiers = [candidate.load().classifier for candidate in candidates]
    turns = []
    for _ in range(options.repeats):
        alone = bare(images, options.steps, classifiers, options.batch_size, device)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            Measurement(images, attack, Store.at(Path(folder)), hardware, seed=0, labels="own").run(candidates)
            turns.append((alone, time.perf_counter() - started))
    title = f"{len(configs)} networks, {options.images} images, {options.steps} steps, {device}"
    table = Table("turn", "bare, s", "measured, s", "efficiency", title=title, title_justify="left")
    for turn, (alone, whole) in enumerate(turns, 1):
        table.add_row(str(turn), f"{alone:.1f}", f"{whole:.1f}", f"{alone / whole:.3f}")
    table.add_row("median", "", "", f"{statistics.median(alone / whole for alone, whole in turns):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
