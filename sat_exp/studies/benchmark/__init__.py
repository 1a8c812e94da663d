"""Which measures recognise models that are alike by construction. Rates are fractions."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns, with_interval

JUDGED = (
    columns(name="measure", count="models pairs within", rate="chance", flag="distance")
    | with_interval(rate="auprc violation_rate")
    | columns(number="auprc_above_sat auprc_above_sat_low auprc_above_sat_high")
)

TABLES = {
    "recognition": Table(
        columns(name="test") | JUDGED | columns(count="strata"),
        unique=("test", "measure"),
        key_numbers=("auprc", "violation_rate"),
    ),
    "recognition_by_stratum": Table(columns(name="test stratum") | JUDGED, unique=("test", "stratum", "measure")),
    "output_relations": Table(
        columns(name="test measure reference", count="strata pairs", correlation="spearman low high"),
        unique=("test", "measure", "reference"),
    ),
    "group_members": Table(
        columns(name="test stratum model group run", rate="clean_accuracy"), unique=("test", "stratum", "model")
    ),
}

STUDY = Study(
    "benchmark",
    "which measures recognise models that are alike by construction",
    TABLES,
    drawings="sat_exp.studies.benchmark.figures:drawings",
    computes=False,
)
