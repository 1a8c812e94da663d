"""What a step of PGD costs, as ratios to the least it can cost and to other libraries, measured in one run.

    python benchmarks/attack.py [--model resnet50 ...] [--batch 8] [--steps 5] [--threads 1] [--repeats 9]

Every contender takes the same number of steps, without a random start, on the same batch of the same network (random
weights, 224×224 pixels), in turn, in an order that is shuffled at every repeat. A ratio is ours over theirs within one
repeat; printed are their median, their quartiles and the ratio of the fastest times. Other work on the machine adds
noise: the ratio of the fastest times suffers least.

"bare" is the network's forward pass and the gradient of its input alone: parameters frozen, no normalisation, no step.
The libraries are used as their own documentation shows: the parameters are left as the network comes. foolbox and
torchattack call `backward()`, which then computes the parameters' gradients too; their "frozen" rows show what is left
once somebody freezes the network for them.
"""

import argparse
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from sat_exp.attacks import PGD
from sat_exp.models.classifier import Classifier

EPSILON, STEP_SIZE = 8, 1
PROMISES = {"bare": 1.05, "torchattacks": 1.0, "foolbox": 0.8, "torchattack": 0.8}


def contenders(model: str, batch: int, steps: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """Name → a call that takes `steps` attack steps on one batch."""
    import timm

    def classifier() -> Classifier:
        torch.manual_seed(0)
        network = timm.create_model(model, pretrained=False)
        return Classifier(network, size=224, mean=[0.5] * 3, std=[0.25] * 3, interpolation="bicubic").eval().to(device)

    frozen, thawed = classifier().freeze(), classifier()
    images = torch.randint(0, 256, (batch, 3, 224, 224), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 1000, (batch,), device=device)
    pixels = images / 255
    ours = PGD(EPSILON, STEP_SIZE, steps, random_start=False)

    def bare() -> None:
        for _ in range(steps):
            x = pixels.detach().requires_grad_()
            torch.autograd.grad(F.cross_entropy(frozen.network(x), labels, reduction="sum"), x)

    calls: dict[str, Callable[[], object]] = {"ours": lambda: ours(frozen, images, labels, []), "bare": bare}
    try:
        import torchattacks

        attacks = torchattacks.PGD(thawed, EPSILON / 255, STEP_SIZE / 255, steps, random_start=False)
        calls["torchattacks"] = lambda: attacks(pixels, labels)
    except ImportError:
        print("torchattacks is not installed: pip install --no-deps torchattacks")
    try:
        import foolbox

        fools = foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE / 255, steps=steps, random_start=False)

        def foolbox_on(network: Classifier) -> Callable[[], object]:
            wrapped = foolbox.PyTorchModel(network, bounds=(0, 1), device=device)
            criterion = foolbox.criteria.Misclassification(labels)
            return lambda: fools.run(wrapped, pixels, criterion, epsilon=EPSILON / 255)

        calls["foolbox"], calls["foolbox, frozen"] = foolbox_on(thawed), foolbox_on(frozen)
    except ImportError:
        print("foolbox is not installed: pip install foolbox")
    try:
        import torchattack

        def torchattack_on(network: Classifier) -> Callable[[], object]:
            attack = torchattack.PGD(
                network, None, device, EPSILON / 255, steps, alpha=STEP_SIZE / 255, random_start=False
            )
            return lambda: attack(pixels, labels)

        calls["torchattack"], calls["torchattack, frozen"] = torchattack_on(thawed), torchattack_on(frozen)
    except ImportError:
        print("torchattack is not installed: pip install --no-deps torchattack")
    return calls


def measure(calls: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, np.ndarray]:
    """Name → seconds of each repeat, float64 [repeats]; one unmeasured round goes first."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0)
    for repeat in range(repeats + 1):
        shuffle.shuffle(order)
        for name in order:
            wait(device)
            start = time.perf_counter()
            calls[name]()
            wait(device)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def wait(device: torch.device) -> None:
    """Until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def report(model: str, seconds: dict[str, np.ndarray], batch: int, steps: int) -> None:
    ours = seconds["ours"]
    print(f"\n{model}, batch {batch}, {steps} steps; ours at best {1000 * ours.min() / steps:.1f} ms a step")
    print(f"{'ours ÷':<22}{'ms/step':>9}{'median':>9}{'quartiles':>16}{'of fastest':>12}   promise")
    for name, theirs in seconds.items():
        if name == "ours":
            continue
        ratios = ours / theirs
        low, high = np.quantile(ratios, [0.25, 0.75])
        promise, fastest = PROMISES.get(name), ours.min() / theirs.min()
        verdict = f"≤ {promise:.2f}  {judge(promise, low, high)}" if promise else ""
        print(
            f"{name:<22}{1000 * theirs.min() / steps:>9.1f}{np.median(ratios):>9.3f}{low:>9.3f}–{high:.3f}"
            f"{fastest:>13.3f}   {verdict}"
        )


def judge(promise: float, low: float, high: float) -> str:
    """What the quartiles of the measured ratios say of a promised one."""
    if high <= promise:
        return "kept"
    return "missed" if low > promise else "too close to tell"


def main() -> None:
    parser = argparse.ArgumentParser(description="What a step of PGD costs, against the bare network and libraries.")
    parser.add_argument("--model", nargs="+", default=["resnet18", "vit_small_patch16_224"], help="timm names")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    for model in settings.model:
        calls = contenders(model, settings.batch, settings.steps, device)
        report(model, measure(calls, settings.repeats, device), settings.batch, settings.steps)


if __name__ == "__main__":
    main()
