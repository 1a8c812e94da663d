"""From predicted classes to scores: SAT with its interval, transfer rates, rates of one model."""

from sat_exp.similarity.intervals import mean_rate_interval, standard_error, wilson_interval
from sat_exp.similarity.scores import SAT_FLOOR, Predictions, fooled, matrix, model_rates, sat, sat_interval, score

__all__ = [
    "SAT_FLOOR",
    "Predictions",
    "fooled",
    "matrix",
    "mean_rate_interval",
    "model_rates",
    "sat",
    "sat_interval",
    "score",
    "standard_error",
    "wilson_interval",
]
