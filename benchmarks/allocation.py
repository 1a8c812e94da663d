"""Compare steps of an attack that reuse freed memory with steps under the C library's default, in one process.

    python benchmarks/allocation.py [--models resnet18 ...] [--batch 16] [--rounds 7]

timm's networks with random weights at 224×224 pixels. A step is the loss and its gradient, a forward pass is without
gradients. The two ways take turns. An untimed call comes before each timed one, so that both are in their steady state.
Ratios are default ÷ reused, medians over rounds and quartiles; on one thread, of seconds of the CPU. pages: how many
the system cleared in a call. equal: whether all gradients and logits are equal in every bit.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from libraries.memory import use
from libraries.networks import FAMILIES, SIDE, classifier_of
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

KEPT = {"default": False, "reused": True}


def calls(model: str, batch: int) -> dict[str, Callable[[], Tensor]]:
    """A step and a forward pass of a network on the same images."""
    classifier = classifier_of(model, torch.device("cpu")).freeze()
    pixels, labels = torch.rand(batch, 3, SIDE, SIDE), torch.zeros(batch, dtype=torch.int64)

    def step() -> Tensor:
        inputs = pixels.clone().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(classifier(inputs), labels, reduction="sum"), inputs)[0]

    return {"step": step, "forward": torch.no_grad()(lambda: classifier(pixels))}


def compared(call: Callable[[], Tensor], rounds: int) -> tuple[dict[str, np.ndarray], dict[str, float], bool]:
    """Seconds of each way [rounds], page faults per call, and whether all results are equal."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {way: [] for way in KEPT}
    faults, first, equal = dict.fromkeys(KEPT, 0.0), call(), True
    for turn in range(rounds):
        for way in sorted(KEPT, reverse=turn % 2 == 1):
            use(kept=KEPT[way])
            call()
            started, before = clock(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            result = call()
            seconds[way].append(clock() - started)
            faults[way] += (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / rounds
            equal &= torch.equal(result, first)
    return {way: np.array(each) for way, each in seconds.items()}, faults, equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=FAMILIES, help="timm names")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    columns = "ms, default", "ms, reused", "default ÷ reused", "quartiles", "pages, default", "pages, reused", "equal"
    table = Table("network", "", *columns, title=f"batch {options.batch}", title_justify="left")
    medians: dict[str, list[float]] = {}
    for model in options.models:
        for name, call in calls(model, options.batch).items():
            seconds, faults, equal = compared(call, options.rounds)
            ratios = seconds["default"] / seconds["reused"]
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            medians.setdefault(name, []).append(middle)
            cells = [f"{1000 * np.median(seconds[way]):.0f}" for way in KEPT]
            cells += [f"{middle:.2f}", f"{low:.2f}–{high:.2f}", *(f"{faults[way]:,.0f}" for way in KEPT)]
            table.add_row(model, name, *cells, "yes" if equal else "no")
    Console(width=140).print(table)
    for name, each in medians.items():
        print(f"{name}: geometric mean of the ratios {np.exp(np.log(each).mean()):.2f}")


if __name__ == "__main__":
    main()
