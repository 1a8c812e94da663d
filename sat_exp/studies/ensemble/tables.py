"""The schemas of the tables of a study of ensembles. Errors and reductions of the error are fractions."""

from sat_exp.runs.schema import (
    CORRELATION,
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    RANK,
    RATE,
    TEXT,
    Column,
    Table,
    columns,
    with_interval,
)

SIZE = columns(COUNT, "size ensembles")
FLOPS = Column("number", low=0, unit="FLOPs")
RELATION = (
    SIZE
    | columns(NAME, "measure with")
    | {"given": TEXT, "used": COUNT, "p": RATE}
    | columns(CORRELATION, "spearman low high")
)

TABLES = {
    "members": Table(
        {"model": NAME, "accuracy": RATE, "flops": FLOPS, "sat_mean": NUMBER} | columns(COUNT, "cluster parameters"),
        unique=("model",),
    ),
    "ensemble_sizes": Table(
        SIZE
        | {"whole": FLAG, "sat": NUMBER}
        | columns(RATE, "members_error error error_least all_wrong")
        | with_interval(NUMBER, "reduction"),
        unique=("size",),
    ),
    "ensembles": Table(
        columns(COUNT, "size clusters")
        | {"models": TEXT, "kept": NAME}
        | columns(RATE, "members_error error all_wrong accuracy_gap")
        | columns(NUMBER, "reduction sat sat_without_hubs error_consistency"),
    ),
    "ensembles_binned": Table(
        SIZE | {"by": NAME} | with_interval(NUMBER, "value reduction") | columns(RATE, "error all_wrong"),
        requires=("ensembles", "ensemble_relations", "ensembles_by_clusters", "selection"),
    ),
    "ensemble_relations": Table(RELATION),
    "ensembles_matched": Table(
        SIZE
        | {"group": NAME}
        | columns(RATE, "members_error_low members_error_high members_error_unlike members_error_alike")
        | columns(NUMBER, "reduction_unlike reduction_alike difference low high"),
    ),
    "ensembles_by_clusters": Table(
        SIZE
        | {"clusters": COUNT}
        | columns(RATE, "error members_error")
        | with_interval(NUMBER, "reduction all_wrong"),
        unique=("size", "clusters"),
    ),
    "calibration": Table(
        SIZE
        | columns(RATE, "error confidence")
        | with_interval(COUNT, "nll ece")
        | columns(COUNT, "members_nll members_ece"),
        unique=("size",),
    ),
    "calibration_relations": Table(RELATION),
    "selection": Table(
        columns(COUNT, "size splits candidates")
        | {"strategy": NAME}
        | with_interval(RATE, "held_out")
        | columns(NUMBER, "reduction below_random below_single")
        | columns(RATE, "error better_than_random"),
        unique=("size", "strategy"),
    ),
    "recommended": Table(
        {"size": COUNT, "strategy": NAME, "place": RANK, "models": TEXT, "parameters": COUNT, "flops": FLOPS}
        | with_interval(RATE, "error")
        | columns(RATE, "members_error least_accuracy held_out")
        | columns(NUMBER, "reduction sat"),
        unique=("size", "strategy", "place"),
    ),
}
