"""Similarity of image classifiers by adversarial attack transferability.

>>> import sat_exp
>>> from sat_exp.datasets import FashionMNIST
>>> images = FashionMNIST(root=None, size=20, seed=0)
>>> result = sat_exp.measure(["fashion_resnet", "fashion_vit"], images, attack=sat_exp.PGD(epsilon=16, steps=2))
>>> result.sat.shape
(2, 2)

Importing the package loads nothing else: each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sat_exp import _torchvision

if TYPE_CHECKING:
    from sat_exp.attacks import L2PGD, PGD, Noise, TargetedPGD
    from sat_exp.errors import UserError
    from sat_exp.library.measure import measure
    from sat_exp.library.result import Result
    from sat_exp.library.wrapping import Model
    from sat_exp.models import Preprocessing

__version__ = "0.1.0"

__all__ = ["L2PGD", "PGD", "Model", "Noise", "Preprocessing", "Result", "TargetedPGD", "UserError", "measure"]

PLACES = {
    "L2PGD": "attacks",
    "Model": "library.wrapping",
    "Noise": "attacks",
    "PGD": "attacks",
    "Preprocessing": "models",
    "Result": "library.result",
    "TargetedPGD": "attacks",
    "UserError": "errors",
    "measure": "library.measure",
}
"""The module that has each public name."""

_torchvision.install()


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module 'sat_exp' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"sat_exp.{PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
