"""A run's folder: written as a whole by one writer, and read by the class `Run`, which checks every file.

Importing the package loads nothing else: `--help` reads the registry of studies without the libraries for tables.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sat_exp.runs.run import SUMMARY, Run
    from sat_exp.runs.writing import drafted, fill, refuse_foreign, seal
    from sat_exp.similarity import Predictions

__all__ = ["SUMMARY", "Predictions", "Run", "drafted", "fill", "refuse_foreign", "seal"]

PLACES = {
    "SUMMARY": "sat_exp.runs.run",
    "Predictions": "sat_exp.similarity",
    "Run": "sat_exp.runs.run",
    "drafted": "sat_exp.runs.writing",
    "fill": "sat_exp.runs.writing",
    "refuse_foreign": "sat_exp.runs.writing",
    "seal": "sat_exp.runs.writing",
}
"""The module that has each public name."""


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(PLACES[name]), name)
    return value
