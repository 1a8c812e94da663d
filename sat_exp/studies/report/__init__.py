"""A finished run drawn again, or several runs side by side. Rates are fractions."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import PAIR, UNIQUE_PAIR, Table, columns, with_interval

TABLES = {
    "runs": Table(
        columns(
            name="run task", text="title attack dataset images_digest labels protocol version reason", flag="comparable"
        )
        | columns(count="epsilon steps images models pairs weak_attacks")
        | columns(rate="clean_accuracy white_box_success transfer_rate", sat="sat"),
        unique=("run",),
    ),
    "run_agreement": Table(
        columns(name="run reference", count="models pairs same_nearest mean_absolute_difference expected_difference")
        | columns(correlation="spearman spearman_low spearman_high", number="offset", rate="p"),
        unique=("run",),
        key_numbers=("spearman",),
    ),
    "pair_differences": Table(
        PAIR | columns(name="run", sat="measured reference", number="difference standard_errors"),
        unique=(*UNIQUE_PAIR, "run"),
    ),
    "run_models": Table(
        columns(name="run model family", count="parameters epsilon", flag="weak_attack")
        | with_interval(rate="clean_accuracy white_box_success")
        | columns(rate="transfer_as_source transfer_as_target", sat="mean_sat"),
        unique=("run", "model"),
    ),
    "run_pairs": Table(
        PAIR
        | columns(name="run", count="epsilon images")
        | columns(rate="transfer_rate_ab transfer_rate_ba")
        | with_interval(sat="sat"),
        unique=(*UNIQUE_PAIR, "run"),
    ),
}

STUDY = Study(
    "report",
    "draw a finished run again, or set several runs side by side",
    TABLES,
    drawings="sat_exp.studies.report.figures:drawings",
    computes=False,
)
