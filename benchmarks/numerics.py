"""Compare studies with fast and with exact numerics, and the time of fast with that of exact classifiers.

    python benchmarks/numerics.py [--size 128] [--steps 20]                        the bundled networks
    python benchmarks/numerics.py --imagenet --images FOLDER [--size 48]           the networks of pool=imagenet_cnns
    python benchmarks/numerics.py --speed resnet50 convnext_tiny                   times only: timm, random weights

A study is measured three times: exact, exact with one pixel of each random start moved by 1/255 (the null), and fast.
An attack is chaotic: after a few steps, both the moved pixel and other rounding have changed most pixels. Fast is
therefore compared with exact as the null is. An outcome of an image is whether it fools the target of a pair, or that
it is not common to both. Required: outcomes differ no more than in the null. D is the share of outcomes that differ
for fast minus the share for the null, with two standard errors over images; it is kept if D is not above them. Every
network is calibrated, however little work is ahead. With --folder the results stay there, and the same command
continues after it was stopped.
"""

import argparse
import random
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor

from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST, ImageNet, ImageSet
from sat_exp.measurement import Measured, Measurement
from sat_exp.models import Classifier, Configured
from sat_exp.modules.hardware import Hardware, Numerics
from sat_exp.names import CONF
from sat_exp.numerics import Choice, applied, calibrate, calibration
from sat_exp.numerics.calibration import forward, seconds_of, step
from sat_exp.similarity import scores
from sat_exp.store import Store

OUTSIDE = -1
console = Console(width=120)


class MovedPGD(PGD):
    """PGD from a start whose middle pixel is moved by 1/255, to a value within the budget."""

    def start(self, images: Tensor, *arguments: Any) -> Tensor:
        start = super().start(images, *arguments)
        place = (slice(None), 0, images.shape[2] // 2, images.shape[3] // 2)
        clean = images[place].to(start.dtype)
        begun = (clean + start[place]).clamp(0, 255)
        moved = torch.where(begun < (clean + self.epsilon).clamp(max=255), begun + 1, begun - 1)
        start[place] = moved - clean
        return start


STUDIES: tuple[tuple[str, type[PGD], Numerics], ...] = (
    ("exact", PGD, "exact"),
    ("null", MovedPGD, "exact"),
    ("fast", PGD, "fast"),
)


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a study, int8 [ordered pairs, N]: 1 fooled, 0 not, OUTSIDE for images that are not common."""

    names: list[str]
    values: np.ndarray

    @classmethod
    def of(cls, measured: Measured, labels: np.ndarray) -> "Outcomes":
        clean = {model.name: model.clean for model in measured.models}
        rows = []
        for source, target in permutations(clean, 2):
            common = (clean[source] == labels) & (clean[target] == labels)
            fooled = scores.fooled(measured.predictions[source, target], clean[target])
            rows.append(np.where(common, fooled, OUTSIDE).astype(np.int8))
        return cls([*clean], np.stack(rows))

    @property
    def rates(self) -> np.ndarray:
        """The transfer rate of each ordered pair."""
        return (self.values == 1).sum(axis=1) / (self.values != OUTSIDE).sum(axis=1)

    @property
    def sat(self) -> np.ndarray:
        """SAT of each unordered pair."""
        row = dict(zip(permutations(self.names, 2), self.values, strict=True))
        pairs = list(combinations(self.names, 2))
        images = [(row[pair] != OUTSIDE).sum() for pair in pairs]
        return scores.sat(
            images, *([(row[way] == 1).sum() for way in ways] for ways in (pairs, [p[::-1] for p in pairs]))
        )


def differing(exact: Outcomes, other: Outcomes) -> np.ndarray:
    """Whether the outcomes differ, bool [ordered pairs, N]."""
    return exact.values != other.values


def facts(exact: Outcomes, other: Outcomes) -> list[str]:
    """The differences of a study from the exact one, as cells."""
    shares = differing(exact, other).sum(axis=1) / (exact.values != OUTSIDE).sum(axis=1)
    rates = other.rates - exact.rates
    sat = np.abs(other.sat - exact.sat)
    order = spearmanr(exact.sat, other.sat).statistic
    return [
        f"{np.median(shares):.2%}",
        f"{shares.max():.2%}",
        f"{100 * rates.mean():+.3f}",
        f"{100 * np.abs(rates).max():.2f}",
        f"{np.median(sat):.4f}",
        f"{sat.max():.4f}",
        f"{order:.5f}",
    ]


def verdict(exact: Outcomes, null: Outcomes, fast: Outcomes) -> str:
    """D with two standard errors, and whether the requirement is kept."""
    each = differing(exact, fast).mean(axis=0) - differing(exact, null).mean(axis=0)
    found, error = each.mean(), 2 * each.std(ddof=1) / len(each) ** 0.5
    word = "kept" if found <= error else "missed"
    return f"required: no more than the null. D = {found:+.3%} ± {error:.3%}: {word}"


def compare(options: argparse.Namespace, names: list[str], images: ImageSet, attack: PGD, folder: Path) -> None:
    """Measure the three studies with stores in a folder, and print the table, the verdict and times."""
    configs = [Configured(OmegaConf.load(CONF / f"model/{name}.yaml")) for name in names]
    hardware = Hardware(options.device, "32-true", options.batch_size, threads=options.threads, workers=1)
    labels = images.labels
    assert labels is not None
    studied, seconds = {}, {}
    for name, kind, numerics in STUDIES:
        started, before = time.perf_counter(), time.process_time()
        numbers = replace(hardware, numerics=numerics)
        prepared = Measurement(images, kind(**vars(attack)), Store.at(folder / name), numbers, 0)
        measured = prepared.run(configs)
        seconds[name] = time.perf_counter() - started, time.process_time() - before
        studied[name] = Outcomes.of(measured, labels)
        gate = sum(spent for (_, activity), spent in prepared.seconds.items() if activity == "gate")
        console.print(f"{name}: {seconds[name][0]:.0f} s, {gate:.0f} of them to calibrate")
    pairs = len(studied["exact"].values)
    title = f"{len(names)} networks, {pairs} ordered pairs, {len(images)} images, {attack}"
    columns = "outcomes median", "max", "rate points mean", "max", "SAT median", "max", "rank corr."
    table = Table("against exact", *columns, "s", "CPU s", title=title, title_justify="left")
    for name in studied:
        table.add_row(name, *facts(studied["exact"], studied[name]), *(f"{value:.0f}" for value in seconds[name]))
    console.print(table)
    console.print(f"mean transfer rate, exact: {studied['exact'].rates.mean():.1%}")
    console.print(verdict(studied["exact"], studied["null"], studied["fast"]))
    for config, model in zip(configs, measured.models, strict=True):
        few = torch.from_numpy(model.view.pixels.gather(np.arange(min(options.batch_size, len(images)))))
        choice = Choice(model.techniques.attack, model.techniques.evaluation)
        speed(config.name, config.load().classifier.to(hardware.device), choice, few)
        for note in model.techniques.notes:
            if "not used" in note:
                console.print(f"    {note}", markup=False)


def speed(name: str, classifier: Classifier, choice: Choice, images: Tensor, repeats: int = 11) -> None:
    """Print the time of the chosen classifiers divided by that of the exact one: medians over repeats and quartiles."""
    device = classifier.mean.device
    pixels, labels = images.to(device).float() / 255, torch.zeros(len(images), dtype=torch.int64, device=device)
    cells = []
    for names, run in ((choice.attack, step), (choice.evaluation, forward)):
        both = [classifier, applied(classifier, names)]
        spent: list[list[float]] = [[], []]
        for turn in range(repeats + 1):
            for which in random.sample((0, 1), 2):
                seconds = seconds_of(device, partial(run, both[which], pixels, labels))
                if turn:
                    spent[which].append(seconds)
        low, middle, high = np.quantile(np.divide(spent[0], spent[1]), [0.25, 0.5, 0.75])
        cells.append(f"{run.__name__} {names!s}: exact ÷ fast = {middle:.2f} ({low:.2f}–{high:.2f})")
    console.print(f"{name}, batch {len(images)}: {'; '.join(cells)}", soft_wrap=True, highlight=False)


def time_untrained(names: list[str], device: str, batch: int) -> None:
    """Print the ratios of times of timm's networks with random weights."""
    import timm

    for name in names:
        torch.manual_seed(0)
        network = timm.create_model(name)
        size = network.default_cfg["input_size"][-1]
        half = [0.5] * 3
        made = Classifier(network, size=size, mean=half, std=half, interpolation="bicubic").freeze().to(device)
        images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
        choice = calibrate(made, images, torch.zeros(batch, dtype=torch.int64), device)
        speed(name, made, choice, images, repeats=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imagenet", action="store_true", help="the networks of pool=imagenet_cnns")
    parser.add_argument("--images", help="a copy of ImageNet, as dataset.root of dataset=imagenet")
    parser.add_argument("--models", nargs="+", help="some networks of the pool")
    parser.add_argument("--speed", nargs="+", metavar="NAME", help="only times, of timm's networks")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where results stay, so that the same command continues")
    options = parser.parse_args()
    calibration.WORTH = 0
    torch.set_num_threads(options.threads)
    options.batch_size = options.batch_size or (16 if options.imagenet or options.speed else 64)
    if options.speed:
        time_untrained(options.speed, options.device, options.batch_size)
        return
    if options.imagenet and options.images is None:
        parser.error("--imagenet needs --images FOLDER")
    pool = OmegaConf.load(CONF / f"pool/{'imagenet_cnns' if options.imagenet else 'bundled'}.yaml")
    stated = OmegaConf.load(CONF / f"attack/{'pgd' if options.imagenet else 'pgd_fashion_mnist'}.yaml")
    base = OmegaConf.merge(OmegaConf.load(CONF / "attack/pgd.yaml"), stated)
    attack = PGD(base.epsilon, base.step_size, options.steps, base.random_start)
    data = (
        ImageNet(options.images, options.size, 0, resize=256, crop=224)
        if options.imagenet
        else FashionMNIST(None, options.size, 0)
    )
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as folder:
        compare(options, options.models or list(pool.models), data.images, attack, Path(folder))


if __name__ == "__main__":
    main()
