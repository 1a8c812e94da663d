"""Compare sat_exp with other libraries that attack networks, on the same work, as ratios measured in one run.

    python benchmarks/peers.py [--parts step small large] [--models resnet50 ...] [--numerics exact] [--imagenet]

A ratio is their time divided by ours: above 1, sat_exp is faster. Other work on the machine adds noise; a goal is kept
or missed only if the quartiles of the ratios agree. On one thread of the CPU, goals are judged by seconds of the CPU,
which other work disturbs less than those of the clock.

step: one step of PGD and one evaluation, for networks of several families with random weights at 224×224 pixels. All
take the same number of steps without a random start, one after the other, in another order in every round. sat_exp and
the bare passes reuse freed memory, as a measurement does; the others run under the C library's default. torchattack,
torchattacks, foolbox and, if they can be imported, adversarial-library and ART are used as their documentation shows,
and again with frozen parameters ("frozen"), which saves some of them the gradients of the parameters. "bare passes" is
no peer but a lower bound: the network's forward pass and the gradient of its input, without normalisation and without
the step. The alternative to an evaluation is the same network without gradients, and foolbox's.

small, large: a whole study of ten models and all their pairs. A script that uses torchattacks as its own examples do
(`libraries/torchattacks_study.py`: attack each source, then load and evaluate each target) is a process with its
imports; so is `python -m sat_exp task=matrix`. Both are also compared without imports and reports, there with the
library's Measurement in this process. small: ten bundled networks, 64 images of 32×32 pixels, 20 steps. large: ten
networks at 224×224 pixels with random weights, whose prediction for a clean image is its label, or with --imagenet the
trained EfficientNet-Lite.

Everything computes in float32. --tf32 lets CUDA round in matrix products and convolutions, for all alike. With
--numerics fast only sat_exp chooses faster numerics, which pass its gate.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from libraries.attacks import EPSILON, PEERS, STEP_SIZE, Call, installed
from libraries.memory import use
from libraries.networks import FAMILIES, SIDE, classifier_of
from libraries.studies import whole
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.attacks import PGD
from sat_exp.models.classifier import Classifier

Seconds = Mapping[str, np.ndarray]  # name → seconds of each round, float64 [rounds]

OURS, BARE, PLAIN = "sat_exp", "bare passes", "PyTorch, no gradients"
GOALS = {
    "attack step, BN CNNs, fastest peer": 1.3,
    "attack step, all families, fastest peer": 1.1,
    "evaluation, all families, fastest alternative": 1.5,
    "large study, whole process": 1.5,
    "small study, whole process": 1.0,
}


def numerics_of(
    classifier: Classifier, images: Tensor, labels: Tensor, chosen: str
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """What sat_exp attacks and what it evaluates."""
    if chosen == "exact":
        return classifier, classifier
    from sat_exp import numerics

    choice = numerics.calibrate(classifier, images, labels, images.device)
    attack, evaluation = (" ".join(names) or "exact" for names in (choice.attack, choice.evaluation))
    print(f"fast numerics: attack {attack}; evaluation {evaluation}")
    return numerics.applied(classifier, choice.attack), numerics.applied(classifier, choice.evaluation)


def contenders(
    model: str, peers: Sequence[str], options: argparse.Namespace
) -> tuple[dict[str, Call], dict[str, Call], bool]:
    """Name → a call that attacks a batch; name → a call that evaluates it; whether the network has batch norm."""
    device = torch.device(options.device)
    frozen, thawed = classifier_of(model, device).freeze(), classifier_of(model, device)
    images = torch.randint(0, 256, (options.batch, 3, SIDE, SIDE), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 1000, (options.batch,), device=device)
    seeds = torch.zeros(options.batch, dtype=torch.int64, device=device)  # unused: there is no random start
    pixels = images / 255
    attacked, evaluated = numerics_of(frozen, images, labels, options.numerics)
    ours = PGD(EPSILON, STEP_SIZE, options.steps, random_start=False)

    def bare() -> None:
        for _ in range(options.steps):
            x = pixels.detach().requires_grad_()
            torch.autograd.grad(F.cross_entropy(frozen.network(x), labels, reduction="sum"), x)

    attacks: dict[str, Call] = {OURS: lambda: ours(attacked, images, labels, seeds), BARE: bare}
    for peer in peers:
        attacks[peer] = PEERS[peer](thawed, pixels, labels, options.steps)
        attacks[f"{peer}, frozen"] = PEERS[peer](frozen, pixels, labels, options.steps)
    evaluations: dict[str, Call] = {
        OURS: torch.no_grad()(lambda: evaluated(images.float() / 255).argmax(dim=1)),
        PLAIN: torch.no_grad()(lambda: thawed(pixels).argmax(dim=1)),
    }
    if "foolbox" in peers:
        import foolbox

        wrapped = foolbox.PyTorchModel(thawed, bounds=(0, 1), device=device)
        evaluations["foolbox"] = lambda: foolbox.accuracy(wrapped, pixels, labels)
    return attacks, evaluations, any(isinstance(part, nn.BatchNorm2d) for part in thawed.modules())


def measured(calls: Mapping[str, Call], rounds: int, device: torch.device) -> Seconds:
    """Seconds of each call in each round, in another order in every round. An untimed call precedes each timed one."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            if device.type == "cpu":
                use(kept=name in (OURS, BARE))
            calls[name]()
            wait(device)
            start = clock()
            calls[name]()
            wait(device)
            seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def wait(device: torch.device) -> None:
    """Return when the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def against_fastest(seconds: Seconds) -> np.ndarray:
    """The ratios to the peer of the least median time, [rounds]."""
    peers = {name: values for name, values in seconds.items() if name not in (OURS, BARE)}
    return min(peers.values(), key=lambda values: float(np.median(values))) / seconds[OURS]


def show(title: str, seconds: Seconds, per: int) -> None:
    """Print a table; milliseconds are of one of `per` parts of a call."""
    table = Table("", title=title, title_justify="left")
    for heading in ("ms, median", "÷ ours, median", "quartiles", "of fastest"):
        table.add_column(heading, justify="right")
    for name, values in seconds.items():
        cells = [name, f"{1000 * np.median(values) / per:.1f}"]
        if name != OURS:
            ratios, fastest = values / seconds[OURS], values.min() / seconds[OURS].min()
            low, high = np.quantile(ratios, [0.25, 0.75])
            cells += [f"{np.median(ratios):.2f}", f"{low:.2f}–{high:.2f}", f"{fastest:.2f}"]
        table.add_row(*cells)
    Console().print(table)


def steps(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Goal → ratios [rounds]. The ratio of several networks is the geometric mean of theirs in the same round."""
    device, peers = torch.device(options.device), installed()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    tf32 = f", TF32 {'on' if options.tf32 else 'off'} for all" if device.type == "cuda" else ""
    print(f"float32{tf32}; numerics of sat_exp: {options.numerics}")
    ratios: dict[str, list[np.ndarray]] = {goal: [] for goal in list(GOALS)[:3]}
    normed, families, evaluation = ratios.values()
    for model in options.models:
        attacks, evaluations, has_batch_norm = contenders(model, peers, options)
        seconds = measured(attacks, options.rounds, device)
        show(f"{model}, batch {options.batch}: a step of PGD", seconds, options.steps)
        families.append(against_fastest(seconds))
        if has_batch_norm:
            normed.append(families[-1])
        seconds = measured(evaluations, options.rounds, device)
        show(f"{model}, batch {options.batch}: evaluation", seconds, 1)
        evaluation.append(against_fastest(seconds))
    return {goal: np.exp(np.log(each).mean(axis=0)) for goal, each in ratios.items() if each}


def judged(goal: float, ratios: np.ndarray) -> str:
    """Whether the quartiles of the measured ratios keep to the goal."""
    low, high = np.quantile(ratios, [0.25, 0.75])
    if low >= goal:
        return "kept"
    return "missed" if high < goal else "too close to tell"


def show_goals(ratios: Mapping[str, np.ndarray]) -> None:
    table = Table("goal", title="goals: their time ÷ ours", title_justify="left")
    for heading in ("at least", "measured", "quartiles", ""):
        table.add_column(heading, justify="right")
    for goal, each in ratios.items():
        low, high = np.quantile(each, [0.25, 0.75])
        table.add_row(
            goal, f"{GOALS[goal]:.1f}", f"{np.median(each):.2f}", f"{low:.2f}–{high:.2f}", judged(GOALS[goal], each)
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("step", "small", "large"), default=["step", "small", "large"])
    parser.add_argument("--models", nargs="+", default=FAMILIES, help="timm names, for the step")
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--steps", type=int, default=2, help="steps of a timed call")
    parser.add_argument("--rounds", type=int, default=7, help="of the step")
    parser.add_argument("--turns", type=int, default=3, help="of a study")
    parser.add_argument("--networks", type=int, default=10, help="of a study, at most")
    parser.add_argument("--study-batch", type=int, default=64)
    parser.add_argument("--small-images", type=int, default=64)
    parser.add_argument("--small-steps", type=int, default=20)
    parser.add_argument("--large-images", type=int, default=16)
    parser.add_argument("--large-steps", type=int, default=8)
    parser.add_argument("--imagenet", action="store_true", help="trained networks of the extra imagenet")
    parser.add_argument("--images", type=Path, help="a folder with ImageNet, for the large study")
    parser.add_argument("--numerics", choices=("exact", "fast"), default="exact")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ratios: dict[str, np.ndarray] = {}
    if "step" in options.parts:
        ratios |= steps(options)
    for name in ("small", "large"):
        if name in options.parts:
            ratios[f"{name} study, whole process"] = whole(name, options)
    show_goals(ratios)


if __name__ == "__main__":
    main()
