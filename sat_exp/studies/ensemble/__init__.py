"""What ensembles gain, how the gain depends on the similarity of the members, and which ensemble to build."""

from sat_exp.runs.registry import Study
from sat_exp.studies.ensemble.tables import TABLES

STUDY = Study(
    "ensemble",
    "what ensembles gain, how the gain depends on the similarity of the members, and which ensemble to build",
    TABLES,
    drawings="sat_exp.studies.ensemble.figures:drawings",
    choices=frozenset({"pool", "dataset", "attack"}),
)
