"""Attacks: plain callables (classifier, images, labels, generators) → images, one file for each."""

from sat_exp.attacks.noise import Noise
from sat_exp.attacks.pgd import PGD

__all__ = ["PGD", "Noise"]
