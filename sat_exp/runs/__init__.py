"""A run's folder: written whole by one writer, read by one reader that notices any file that is not as written."""

from sat_exp.runs.predictions import Predictions
from sat_exp.runs.reading import SUMMARY, Run, newest, read, studied
from sat_exp.runs.writing import drafted, fill, refuse_foreign, seal

__all__ = ["SUMMARY", "Predictions", "Run", "drafted", "fill", "newest", "read", "refuse_foreign", "seal", "studied"]
