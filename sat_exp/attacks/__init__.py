"""Attacks: callables (classifier, images, labels, seeds) → adversarial images, one file per attack."""

from sat_exp.attacks import random
from sat_exp.attacks.admix import Admix
from sat_exp.attacks.apgd import APGDCE, APGDDLR
from sat_exp.attacks.attack import Attack, Threat, described
from sat_exp.attacks.bsr import BSR
from sat_exp.attacks.di import DI
from sat_exp.attacks.emi import EMI
from sat_exp.attacks.gra import GRA
from sat_exp.attacks.ilpd import ILPD
from sat_exp.attacks.l2_pgd import L2PGD
from sat_exp.attacks.l2t import L2T
from sat_exp.attacks.mef import MEF
from sat_exp.attacks.momentum import MI
from sat_exp.attacks.ni import NI, SINI
from sat_exp.attacks.noise import Noise
from sat_exp.attacks.pgd import PGD
from sat_exp.attacks.pgn import PGN
from sat_exp.attacks.sia import SIA
from sat_exp.attacks.ssa import SSA
from sat_exp.attacks.targeted_pgd import TargetedPGD
from sat_exp.attacks.ti import TI
from sat_exp.attacks.vmi import VMI

__all__ = [
    "APGDCE",
    "APGDDLR",
    "BSR",
    "DI",
    "EMI",
    "GRA",
    "ILPD",
    "L2PGD",
    "L2T",
    "MEF",
    "MI",
    "NI",
    "PGD",
    "PGN",
    "SIA",
    "SINI",
    "SSA",
    "TI",
    "VMI",
    "Admix",
    "Attack",
    "Noise",
    "TargetedPGD",
    "Threat",
    "described",
    "random",
]
