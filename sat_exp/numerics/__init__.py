"""Faster classifiers with other rounding: techniques, the gate that each must pass, and the choice among them."""

from sat_exp.numerics.calibration import Choice, calibrate
from sat_exp.numerics.gating import GateResult, Limits, gate
from sat_exp.numerics.technique import Technique, applied, techniques

__all__ = ["Choice", "GateResult", "Limits", "Technique", "applied", "calibrate", "gate", "techniques"]
