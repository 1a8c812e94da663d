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

PLACES = {"Predictions": "sat_exp.similarity", "Run": "sat_exp.runs.run", "SUMMARY": "sat_exp.runs.run"}
"""The modules of the public names that are not in `writing`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(PLACES.get(name, "sat_exp.runs.writing")), name)
    return value
