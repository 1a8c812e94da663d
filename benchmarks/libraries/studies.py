"""A whole study of several models and all their pairs: by a script that uses torchattacks, by the command line, and by
a Measurement in this process."""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from libraries.attacks import EPSILON, STEP_SIZE
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST, Foolbox20, ImageNet, ImageSet
from sat_exp.measurement import Measurement, Scoring, tables
from sat_exp.models import Configured
from sat_exp.modules.hardware import Hardware
from sat_exp.names import CONF
from sat_exp.store import Store

Seconds = tuple[float, float]  # by the clock, and of the CPU
Rates = dict[str, float]

BUNDLED = ("resnet", "resnet_seed1", "convnext", "vit", "mixer", "resmlp", "mobilenet", "regnet", "nfnet", "swin")
LARGE = (
    "resnet18", "mobilenetv3_large_100", "efficientnet_b0", "regnety_004", "convnext_atto", "vit_tiny_patch16_224",
    "pit_ti_224", "resmlp_12_224", "mixer_s32_224", "swin_tiny_patch4_window7_224",
)  # fmt: skip
INPUT = {"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop": 1.0}
WAYS = "torchattacks, process", "sat_exp, process", "torchattacks, no imports", "Measurement"
USER = Path(__file__).parent / "torchattacks_study.py"


@dataclass(frozen=True)
class Study:
    """Ten models on some images. settings: of the command line."""

    configs: list[DictConfig]
    settings: list[str]
    attack: PGD
    labels: str

    @property
    def names(self) -> list[str]:
        return [config.name for config in self.configs]


def small(options: argparse.Namespace) -> tuple[Study, ImageSet]:
    configs = [stated(f"fashion_{name}") for name in BUNDLED[: options.networks]]
    attack = PGD(24, 2, options.small_steps, random_start=False)
    settings = ["dataset=fashion_mnist", f"dataset.size={options.small_images}"]
    return Study(configs, settings, attack, "truth"), FashionMNIST(None, options.small_images, 0).images


def large(options: argparse.Namespace) -> tuple[Study, ImageSet]:
    attack, count = PGD(EPSILON, STEP_SIZE, options.large_steps, random_start=False), options.large_images
    if options.images:
        settings, images = ["dataset=imagenet", f"dataset.root={options.images}"], ImageNet(options.images, count, 0)
    else:
        settings, images = ["dataset=foolbox20"], Foolbox20(None, count, 0)
    settings.append(f"dataset.size={count}")
    if options.imagenet:
        configs = [stated(f"efficientnet_lite{number}") for number in range(3)]
        return Study(configs, settings, attack, "truth"), images.images
    return Study([untrained(name) for name in LARGE[: options.networks]], settings, attack, "own"), images.images


def stated(name: str) -> DictConfig:
    """The configuration of a model in conf/model."""
    config = OmegaConf.load(CONF / "model" / f"{name}.yaml")
    assert isinstance(config, DictConfig)
    config.pop("defaults", None)
    return config


def untrained(name: str) -> DictConfig:
    """The configuration of a timm network with random weights."""
    return OmegaConf.create(
        {"name": f"{name}_untrained", "family": name, "label_space": "none", "classes": 1000, "pretrained": False}
        | {"checkpoint": None, "network": {"_target_": "timm.create_model", "model_name": name}}
        | {"input": INPUT, "components": {}}
    )


def mean_rates(pairs: pd.DataFrame, models: pd.DataFrame) -> dict[str, float]:
    """The means over models and pairs that the peers' script prints too."""
    between = pairs[pairs["model_a"] != pairs["model_b"]]
    return {
        "clean_accuracy": models["clean_accuracy"].mean(),
        "white_box": models["white_box_success"].mean(),
        "transfer": between[["transfer_rate_ab", "transfer_rate_ba"]].to_numpy().mean(),
    }


def command_line(study: Study, folder: Path, options: argparse.Namespace) -> tuple[Seconds, Rates]:
    """`python -m sat_exp task=matrix` as a process."""
    for config in study.configs:
        if not config.pretrained:
            OmegaConf.save(config, folder / "model" / f"{config.name}.yaml")
    own = [f"--config-dir={folder}"] if any(not config.pretrained for config in study.configs) else []
    attack = [f"attack.{name}={value}" for name, value in vars(study.attack).items()]
    fast = ["hardware.numerics=fast"] if options.numerics == "fast" else []
    command = [
        sys.executable, "-m", "sat_exp", *own, "task=matrix", "pool=any", f"pool.models=[{','.join(study.names)}]",
        *study.settings, "attack=pgd", *attack, f"labels={study.labels}", f"output_dir={folder}", "name=study",
        "tracking=disabled", f"hardware={'cpu' if options.device == 'cpu' else 'gpu'}",
        f"hardware.batch_size={options.study_batch}", f"hardware.threads={options.threads}",
        f"hardware.tf32={str(options.tf32).lower()}", *fast,
    ]  # fmt: skip
    seconds, _ = run(command, options.threads)
    return seconds, mean_rates(*(pd.read_csv(folder / f"study/tables/{name}.csv") for name in ("pairs", "models")))


def script(study: Study, folder: Path, options: argparse.Namespace) -> tuple[Seconds, Seconds, Rates]:
    """The torchattacks script as a process; the second time is without imports."""
    given = {
        "images": str(folder / "images.npz"), "epsilon": study.attack.epsilon, "step_size": study.attack.step_size,
        "steps": study.attack.steps, "labels": study.labels, "batch_size": options.study_batch,
        "threads": options.threads, "device": options.device, "models": [plain(config) for config in study.configs],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(given))
    seconds, output = run([sys.executable, str(USER), str(folder / "study.json")], options.threads)
    outcome = json.loads(output.splitlines()[-1])
    return seconds, tuple(outcome.pop("seconds")), outcome


def plain(config: DictConfig) -> dict[str, object]:
    """A model as the peers' script takes it."""
    facts = OmegaConf.to_container(config, resolve=True)
    in_order = facts.get("checkpoint_keys") == "in_order"
    own = {key: value for key, value in facts["input"].items() if key != "crop"}
    return {"network": facts["network"], "checkpoint": facts["checkpoint"], "in_order": in_order} | own


def run(command: list[str], threads: int) -> tuple[Seconds, str]:
    """The time and the output of a process; its errors end the benchmark."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started, busy = time.perf_counter(), of_children()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return (time.perf_counter() - started, of_children() - busy), done.stdout


def of_children() -> float:
    """CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def library(study: Study, images: ImageSet, folder: Path, options: argparse.Namespace) -> tuple[Seconds, Rates]:
    """A Measurement in this process, with its tables."""
    fast = {"numerics": "fast"} if options.numerics == "fast" else {}
    hardware = Hardware(options.device, "32-true", options.study_batch, options.threads, 2, options.tf32, **fast)
    started, busy = time.perf_counter(), time.process_time()
    work = Measurement(images, study.attack, Store.at(folder / "library"), hardware, seed=0, labels=study.labels)
    found = tables(work.run([Configured(config) for config in study.configs]), work, Scoring(study.labels))
    seconds = time.perf_counter() - started, time.process_time() - busy
    return seconds, mean_rates(found["pairs"], found["models"])


def whole(name: str, options: argparse.Namespace) -> np.ndarray:
    """The ratios of whole processes, [turns], on one thread those of CPU seconds; prints a table of all ways. name:
    `small` or `large`."""
    study, images = small(options) if name == "small" else large(options)
    seconds: dict[str, list[Seconds]] = {way: [] for way in WAYS}
    rates: dict[str, Rates] = {}

    def by_script(folder: Path) -> None:
        outside, inside, rates["torchattacks"] = script(study, folder, options)
        seconds[WAYS[0]].append(outside)
        seconds[WAYS[2]].append(inside)

    def by_command(folder: Path) -> None:
        outside, rates["sat_exp"] = command_line(study, folder, options)
        seconds[WAYS[1]].append(outside)

    def by_library(folder: Path) -> None:
        took, rates["Measurement"] = library(study, images, folder, options)
        seconds[WAYS[3]].append(took)

    order, first = [by_script, by_command, by_library], replace(study, configs=study.configs[:2], labels="own")
    in_folder(images, lambda folder: library(first, images.take([0, 1]), folder, options))  # imports all that it needs
    for turn in range(options.turns):
        random.Random(turn).shuffle(order)
        for way in order:
            in_folder(images, way)
    report(f"{name} study: {len(study.configs)} models, {len(images)} images, {study.attack.steps} steps", seconds)
    for way, found in rates.items():
        known = {key.replace("_", " "): rate for key, rate in found.items() if not np.isnan(rate)}
        print(f"{way}: " + ", ".join(f"{key} {rate:.2%}" for key, rate in known.items()))
    used = 1 if options.device == "cpu" and options.threads == 1 else 0
    return np.divide(*(np.array(seconds[way])[:, used] for way in WAYS[:2]))


def in_folder(images: ImageSet, way: Callable[[Path], object]) -> None:
    """Call `way` with a new folder that has the images as a file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model").mkdir()
        pixels = np.stack([images.read(index) for index in range(len(images))])
        np.savez(folder / "images.npz", images=pixels, labels=images.labels)
        way(folder)


def report(title: str, seconds: Mapping[str, Sequence[Seconds]]) -> None:
    """Print the times of the ways, each after the one that it is compared with."""
    table = Table("way", title=title, title_justify="left")
    for heading in ("s", "CPU s", "ratio", "ratio of CPU s", "quartiles"):
        table.add_column(heading, justify="right")
    before = np.empty(0)
    for place, name in enumerate(WAYS):
        times = np.array(seconds[name])
        cells = [name, *(f"{value:.1f}" for value in np.median(times, axis=0))]
        if place % 2:
            ratios = before / times
            low, high = np.quantile(ratios[:, 1], [0.25, 0.75])
            cells += [*(f"{ratio:.2f}" for ratio in np.median(ratios, axis=0)), f"{low:.2f}–{high:.2f}"]
        table.add_row(*cells)
        before = times
    Console().print(table)
