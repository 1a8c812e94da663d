"""Who does the work: this process, processes of this machine, Ray, or Slurm."""

from sat_exp.engine.engine import Engine, Piece
from sat_exp.engine.local import Local

__all__ = ["Engine", "Local", "Piece"]
