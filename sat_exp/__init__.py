"""Similarity of neural architectures by adversarial attack transferability."""

from sat_exp import _torchvision

__version__ = "0.1.0"

_torchvision.install()
