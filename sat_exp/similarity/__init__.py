"""From predicted classes to scores: SAT with its interval, transfer rates, rates of one model."""

from sat_exp.similarity.scores import (
    SAT_FLOOR,
    WEAK_ATTACK,
    bootstrap_sat,
    matrix,
    model_rates,
    sat,
    score,
    wilson_interval,
)

__all__ = ["SAT_FLOOR", "WEAK_ATTACK", "bootstrap_sat", "matrix", "model_rates", "sat", "score", "wilson_interval"]
