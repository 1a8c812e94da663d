"""Where a new model is placed among measured ones."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns, with_interval

TABLES = {
    "nearest_models": Table(
        columns(name="model", rate="fools fooled_by") | with_interval(sat="sat"), unique=("model",)
    ),
    "rates": Table(
        columns(name="role most least", rank="rank", count="models", rate="mean_rate most_rate least_rate"),
        unique=("role",),
        key_numbers=("mean_rate",),
    ),
    "nearest_clusters": Table(columns(count="cluster models", sat="mean_sat", text="members"), unique=("cluster",)),
}

STUDY = Study(
    "place",
    "where a new model is placed among measured ones",
    TABLES,
    choices=frozenset({"model"}),
)
