"""Which teacher helps a student most, and whether SAT can predict it."""

from sat_exp.runs.registry import Study
from sat_exp.studies.distill.tables import TABLES

STUDY = Study(
    "distill",
    "which teacher helps a student most, and whether SAT can predict it",
    TABLES,
    drawings="sat_exp.studies.distill.figures:drawings",
    choices=frozenset({"dataset", "attack"}),
)
