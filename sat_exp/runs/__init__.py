"""A run's folder: written whole by one writer, read by one reader that notices any file that is not as written."""

from sat_exp.runs.reading import SUMMARY, Run, newest, read, studied
from sat_exp.runs.writing import drafted, fill, refuse_foreign, seal
from sat_exp.similarity import Predictions

__all__ = ["SUMMARY", "Predictions", "Run", "drafted", "fill", "newest", "read", "refuse_foreign", "seal", "studied"]
