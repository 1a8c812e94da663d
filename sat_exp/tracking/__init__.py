"""The one owner of a W&B run: the local run folder is the truth, W&B mirrors it and can never fail a run."""

from sat_exp.tracking.owner import Run, Tracking, run

__all__ = ["Run", "Tracking", "run"]
