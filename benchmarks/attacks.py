"""Every attack on bundled networks: mean transfer rate, white-box success and seconds, as CSV.

    python benchmarks/attacks.py [--images 64] [--models fashion_resnet ...] [--attacks mi vmi ...] > attacks.csv

All attacks have epsilon 16, and 10 steps of 2 where they have a step size: what differs is the method. The rates are
means over models of Fashion-MNIST, whose images are small: rankings for ImageNet may be others. Seconds are processor
seconds of a measurement whose clean predictions are stored. With --copies, attacks average fewer gradients per step.
"""

import argparse
import csv
import inspect
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

import sat_exp
from sat_exp.attacks import Attack, Noise
from sat_exp.datasets import FashionMNIST
from sat_exp.settings.targets import imported

CONF = Path(__file__).parents[1] / "conf/attack"
MODELS = ["fashion_convnext", "fashion_mixer", "fashion_resnet", "fashion_vit"]
LEFT_OUT = {"foolbox", "l2_pgd", "noise", "pgd_fashion_mnist", "targeted_pgd", "torchattack", "torchattacks"}
COLUMNS = ["attack", "gradients", "transfer_rate", "white_box_success", "seconds"]


def attack_of(name: str, epsilon: int, step_size: float, copies: int | None) -> Attack:
    """The attack of conf/attack/NAME.yaml, with the common epsilon, step size and number of steps."""
    stated = OmegaConf.load(CONF / f"{name}.yaml")
    stated.epsilon = epsilon
    settings = dict(OmegaConf.to_container(stated, resolve=True))
    kind = imported(settings.pop("_target_"))
    if name != "fgsm" and "step_size" in inspect.signature(kind).parameters:
        settings["step_size"] = step_size
    if "step_size" in settings:
        settings["steps"] = min(10, settings["steps"])
    if copies and "copies" in settings:
        settings["copies"] = copies
    if name == "ti":
        settings["kernel"] = 3
    return kind(**settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--attacks", nargs="+", default=sorted({path.stem for path in CONF.glob("*.yaml")} - LEFT_OUT))
    parser.add_argument("--epsilon", type=int, default=16)
    parser.add_argument("--step-size", type=float, default=2)
    parser.add_argument("--copies", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = FashionMNIST(root=None, size=given.images, seed=0)
    table = csv.DictWriter(sys.stdout, COLUMNS)
    table.writeheader()
    with tempfile.TemporaryDirectory() as store:
        sat_exp.measure(given.models, images, attack=Noise(given.epsilon), store=store, threads=1)
        for name in given.attacks:
            attack = attack_of(name, given.epsilon, given.step_size, given.copies)
            start = time.process_time()
            result = sat_exp.measure(given.models, images, attack=attack, store=store, threads=1)
            seconds = time.process_time() - start
            rates = result.transfer_rates.to_numpy()
            others = ~np.eye(len(rates), dtype=bool)
            means = {"transfer_rate": rates[others].mean(), "white_box_success": rates[~others].mean()}
            row = {"attack": name, "gradients": attack.gradients} | means | {"seconds": seconds}
            table.writerow({key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()})
            sys.stdout.flush()


if __name__ == "__main__":
    main()
