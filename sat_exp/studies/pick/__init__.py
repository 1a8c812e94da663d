"""Which models of a pool to build an ensemble from, and which one to attack as a surrogate."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns, optional, with_interval

COSTS = columns(count="size parameters", flops="flops", text="models") | optional(seconds="latency")

TABLES = {
    "ensemble_choices": Table(
        COSTS | columns(name="strategy") | with_interval(rate="held_out_error", number="fewer_errors"),
        unique=("strategy",),
        key_numbers=("held_out_error",),
    ),
    "least_similar": Table(COSTS | columns(rate="first") | with_interval(sat="mean_sat"), unique=("models",)),
    "surrogates": Table(
        columns(name="source", count="targets", rate="white_box_success first")
        | with_interval(rate="mean_transfer_rate", number="behind_best"),
        unique=("source",),
    ),
}

STUDY = Study(
    "pick",
    "which ensemble to build, or which surrogate to attack",
    TABLES,
    drawings="sat_exp.studies.pick.figures:drawings",
    choices=frozenset({"pool", "dataset", "attack"}),
)
