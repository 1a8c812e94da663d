"""Each library's PGD in L∞, as its documentation shows it, without a random start.

A function takes a network of pixels in [0, 1], images float32 [B, C, H, W] and labels int64 [B] on one device, and the
number of steps, and gives a call that attacks the batch.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
from torch import Tensor, nn

Call = Callable[[], object]

EPSILON, STEP_SIZE = 8, 1  # in units of 1/255


def torchattacks_on(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Call:
    from torchattacks import PGD

    attack = PGD(network, EPSILON / 255, STEP_SIZE / 255, steps, random_start=False)
    return lambda: attack(images, labels)


def torchattack_on(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Call:
    from torchattack import PGD

    attack = PGD(network, None, images.device, EPSILON / 255, steps, alpha=STEP_SIZE / 255, random_start=False)
    return lambda: attack(images, labels)


def foolbox_on(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Call:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE / 255, steps=steps, random_start=False)
    wrapped = foolbox.PyTorchModel(network, bounds=(0, 1), device=images.device)
    criterion = foolbox.criteria.Misclassification(labels)
    return lambda: attack.run(wrapped, images, criterion, epsilon=EPSILON / 255)


sys.modules.setdefault("visdom", ModuleType("visdom"))  # Adversarial Library imports it, for charts


def adv_lib_on(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Call:
    from adv_lib.attacks import pgd_linf

    settings = {"steps": steps, "random_init": False, "absolute_step_size": STEP_SIZE / 255}
    return lambda: pgd_linf(network, images, labels, EPSILON / 255, **settings)


def art_on(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Call:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    shape, where = tuple(images.shape[1:]), images.device.type
    wrapped = PyTorchClassifier(network, nn.CrossEntropyLoss(), shape, 1000, clip_values=(0, 1), device_type=where)
    settings = {"eps": EPSILON / 255, "eps_step": STEP_SIZE / 255, "max_iter": steps, "verbose": False}
    attack = ProjectedGradientDescentPyTorch(wrapped, norm=np.inf, batch_size=len(images), **settings)
    pixels, classes = images.cpu().numpy(), labels.cpu().numpy()
    return lambda: attack.generate(pixels, classes)


PEERS: dict[str, Callable[[nn.Module, Tensor, Tensor, int], Call]] = {
    "torchattacks": torchattacks_on,
    "torchattack": torchattack_on,
    "foolbox": foolbox_on,
    "adv_lib": adv_lib_on,
    "art": art_on,
}


def installed() -> list[str]:
    """The peers that can be imported; prints a line for each of the others."""
    found = []
    for name in PEERS:
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            print(f"{name} is not installed: it is left out")
    return found
