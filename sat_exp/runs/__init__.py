"""A run's folder: written as a whole by one writer, and read by the class `Run`, which checks every file."""

from sat_exp.runs.run import SUMMARY, Run
from sat_exp.runs.writing import drafted, fill, refuse_foreign, seal
from sat_exp.similarity import Predictions

__all__ = ["SUMMARY", "Predictions", "Run", "drafted", "fill", "refuse_foreign", "seal"]

read, newest = Run.open, Run.newest
