"""A whole study of several models and all their pairs: by a script that uses torchattacks, by the command line, and by
a Measurement in this process."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

BUNDLED = ("resnet", "resnet_seed1", "convnext", "vit", "mixer", "resmlp", "mobilenet", "regnet", "nfnet", "swin")
LARGE = (
    "resnet18", "mobilenetv3_large_100", "efficientnet_b0", "regnety_004", "convnext_atto", "vit_tiny_patch16_224",
    "pit_ti_224", "resmlp_12_224", "mixer_s32_224", "swin_tiny_patch4_window7_224",
)  # fmt: skip
INPUT = {"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop": 1.0}
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


def command_line(study: Study, folder: Path, options: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Seconds of `python -m sat_exp task=matrix` as a process, and its results."""
    for config in study.configs:
        if not config.pretrained:
            OmegaConf.save(config, folder / "model" / f"{config.name}.yaml")
    own = [f"--config-dir={folder}"] if any(not config.pretrained for config in study.configs) else []
    attack = [f"attack.{name}={value}" for name, value in vars(study.attack).items()]
    fast = ["hardware.numerics=fast"] if options.numerics == "fast" else []
    command = [
        sys.executable, "-m", "sat_exp", *own, "task=matrix", "pool=any", f"pool.models=[{','.join(study.names)}]",
        *study.settings, "attack=pgd", *attack, f"labels={study.labels}", f"output_dir={folder}", "name=study",
        "tracking=disabled", f"hardware={options.device.replace('cuda', 'gpu')}",
        f"hardware.batch_size={options.study_batch}", f"hardware.threads={options.threads}",
        f"hardware.tf32={str(options.tf32).lower()}", *fast,
    ]  # fmt: skip
    seconds = run(command, options.threads)[0]
    return seconds, mean_rates(*(pd.read_csv(folder / f"study/tables/{name}.csv") for name in ("pairs", "models")))


def script(study: Study, folder: Path, options: argparse.Namespace) -> tuple[float, float, dict[str, float]]:
    """Seconds of the torchattacks script as a process, those without its imports, and its results."""
    given = {
        "images": str(folder / "images.npz"), "epsilon": study.attack.epsilon, "step_size": study.attack.step_size,
        "steps": study.attack.steps, "labels": study.labels, "batch_size": options.study_batch,
        "threads": options.threads, "device": options.device, "models": [plain(config) for config in study.configs],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(given))
    seconds, output = run([sys.executable, str(USER), str(folder / "study.json")], options.threads)
    outcome = json.loads(output.splitlines()[-1])
    return seconds, outcome.pop("seconds"), outcome


def plain(config: DictConfig) -> dict[str, object]:
    """A model as the peers' script takes it."""
    facts = OmegaConf.to_container(config, resolve=True)
    arguments = {key: value for key, value in facts["network"].items() if key != "_target_"}
    in_order = facts.get("checkpoint_keys") == "in_order"
    own = {key: value for key, value in facts["input"].items() if key != "crop"}
    return {"arguments": arguments, "checkpoint": facts["checkpoint"], "in_order": in_order} | own


def run(command: list[str], threads: int) -> tuple[float, str]:
    """Seconds and output of a process; its errors end the benchmark."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started, done.stdout


def library(
    study: Study, images: ImageSet, folder: Path, options: argparse.Namespace
) -> tuple[float, dict[str, float]]:
    """Seconds of a Measurement in this process, with tables, and its results."""
    fast = {"numerics": "fast"} if options.numerics == "fast" else {}
    accelerator, precision = options.device, "32-true"
    hardware = Hardware(accelerator, precision, options.study_batch, options.threads, 2, options.tf32, **fast)
    started = time.perf_counter()
    work = Measurement(images, study.attack, Store.at(folder / "library"), hardware, seed=0, labels=study.labels)
    found = tables(work.run([Configured(config) for config in study.configs]), work, Scoring(study.labels))
    return time.perf_counter() - started, mean_rates(found["pairs"], found["models"])


def whole(name: str, options: argparse.Namespace) -> np.ndarray:
    """The ratios of whole processes, [turns]; prints a table of all ways. name: `small` or `large`."""
    study, images = small(options) if name == "small" else large(options)
    ways = ("torchattacks, process", "sat_exp, process", "torchattacks, no imports", "sat_exp, Measurement")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    outcomes: dict[str, dict[str, float]] = {}

    def user(folder: Path) -> None:
        outside, inside, outcomes[ways[0]] = script(study, folder, options)
        seconds[ways[0]].append(outside)
        seconds[ways[2]].append(inside)

    def ours(folder: Path) -> None:
        outside, outcomes[ways[1]] = command_line(study, folder, options)
        seconds[ways[1]].append(outside)

    def inside(folder: Path) -> None:
        took, outcomes[ways[3]] = library(study, images, folder, options)
        seconds[ways[3]].append(took)

    order = [user, ours, inside]
    for turn in range(options.turns):
        random.Random(turn).shuffle(order)
        for way in order:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                (folder / "model").mkdir()
                pixels = np.stack([images.read(index) for index in range(len(images))])
                np.savez(folder / "images.npz", images=pixels, labels=images.labels)
                way(folder)
    title = f"{name} study: {len(study.configs)} models, {len(images)} images, {study.attack.steps} steps"
    return report(title, seconds, outcomes)


def report(
    title: str, seconds: Mapping[str, Sequence[float]], outcomes: Mapping[str, Mapping[str, float]]
) -> np.ndarray:
    """Print times and results of the ways, each after the one that it is compared with; the first ratios, [turns]."""
    table = Table("way", title=title, title_justify="left")
    for heading in ("s, median", "ratio", "quartiles", "clean accuracy", "white-box", "transfer"):
        table.add_column(heading, justify="right")
    names, ratios = list(seconds), []
    for place, name in enumerate(names):
        cells = [name, f"{np.median(seconds[name]):.1f}", "", ""]
        if place % 2:
            ratios.append(np.array(seconds[names[place - 1]]) / np.array(seconds[name]))
            low, high = np.quantile(ratios[-1], [0.25, 0.75])
            cells[2:] = [f"{np.median(ratios[-1]):.2f}", f"{low:.2f}–{high:.2f}"]
        rates = outcomes.get(name, {})
        shown = [rates.get(key) for key in ("clean_accuracy", "white_box", "transfer")]
        table.add_row(*cells, *("" if rate is None or np.isnan(rate) else f"{rate:.1%}" for rate in shown))
    Console().print(table)
    return ratios[0]
