"""W&B as a mirror of the local run folders: one owner per run, and no failure of W&B can fail a run."""

from sat_exp.tracking.owner import Run, run
from sat_exp.tracking.settings import Tracking

__all__ = ["Run", "Tracking", "run"]
