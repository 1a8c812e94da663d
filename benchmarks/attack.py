"""Compare the time of one PGD step with a lower bound and with other libraries, as ratios measured in one run.

    python benchmarks/attack.py [--model resnet50 ...] [--batch 8] [--steps 5] [--threads 1] [--repeats 9]

All implementations take the same number of steps, without a random start, on the same batch of the same network (random
weights, 224×224 pixels). They run one after the other, and their order is shuffled in every repeat. A ratio is our time
divided by theirs within one repeat. The table has the median of the ratios, their quartiles, and the ratio of the
fastest times. Other work on the machine adds noise, least to the ratio of the fastest times.

"bare" is the lower bound: the network's forward pass and the gradient of its input, with frozen parameters, without
normalisation and without the step. The libraries are used as their documentation shows, so the parameters are not
frozen. foolbox and torchattack call `backward()`, which then computes the gradients of the parameters too. Their rows
"frozen" show the ratio when the user freezes the parameters first.
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
    """Name → seconds of each repeat, float64 [repeats]. A first round is not measured."""
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
    """Return when the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def report(model: str, seconds: dict[str, np.ndarray], batch: int, steps: int) -> None:
    ours = seconds["ours"]
    print(f"\n{model}, batch {batch}, {steps} steps; ours: {1000 * ours.min() / steps:.1f} ms per step at best")
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
    """Whether the quartiles of the measured ratios keep to the promised one."""
    if high <= promise:
        return "kept"
    return "missed" if low > promise else "too close to tell"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare a PGD step with the bare network and with libraries.")
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
