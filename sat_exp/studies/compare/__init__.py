"""How well two SAT matrices agree."""

from sat_exp.runs.registry import Study
from sat_exp.studies.compare.tables import TABLES

STUDY = Study(
    "compare",
    "how well two SAT matrices agree",
    TABLES,
    drawings="sat_exp.studies.compare.figures:drawings",
    computes=False,
)
