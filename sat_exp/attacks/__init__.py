"""Attacks: callables (classifier, images, labels, seeds) → adversarial images, one file per attack."""

from sat_exp.attacks import random
from sat_exp.attacks.attack import Attack, Threat, described
from sat_exp.attacks.l2_pgd import L2PGD
from sat_exp.attacks.noise import Noise
from sat_exp.attacks.pgd import PGD
from sat_exp.attacks.targeted_pgd import TargetedPGD

__all__ = ["L2PGD", "PGD", "Attack", "Noise", "TargetedPGD", "Threat", "described", "random"]
