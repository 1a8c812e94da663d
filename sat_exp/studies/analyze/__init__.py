"""Clusters, embedding, hubs, components and sample size of a measured matrix."""

from sat_exp.runs.registry import Study
from sat_exp.studies.analyze.tables import TABLES

STUDY = Study(
    "analyze",
    "clusters, embedding, hubs, components and sample size of a measured matrix",
    TABLES,
    drawings="sat_exp.studies.analyze.figures:drawings",
    computes=False,
)
