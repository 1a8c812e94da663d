"""Where a new model is placed among measured ones."""

from sat_exp.runs.registry import Study
from sat_exp.studies.place.tables import TABLES

STUDY = Study(
    "place",
    "where a new model is placed among measured ones",
    TABLES,
    choices=frozenset({"model"}),
)
