"""What a measurement will cost: time, memory, disk and images."""

from sat_exp.runs.registry import Study
from sat_exp.studies.plan.tables import TABLES

STUDY = Study(
    "plan",
    "what a measurement will cost: time, memory, disk and images",
    TABLES,
    choices=frozenset({"model", "model@target", "pool", "dataset", "attack"}),
    pool_replaces_model=True,
)
