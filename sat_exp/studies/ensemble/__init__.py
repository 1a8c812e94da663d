"""What ensembles gain, how the gain depends on the similarity of the members, and which ensemble to build. Errors and
reductions of the error are fractions."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns, with_interval

RELATION = columns(count="size ensembles used", name="measure with", text="given", rate="p")
RELATION |= columns(correlation="spearman low high")

TABLES = {
    "members": Table(
        columns(name="model", rate="accuracy", count="cluster parameters", flops="flops", number="sat_mean"),
        unique=("model",),
    ),
    "ensemble_sizes": Table(
        columns(count="size ensembles", flag="whole", number="sat", rate="members_error error error_least all_wrong")
        | with_interval(number="reduction"),
        unique=("size",),
        key_numbers=("error", "reduction"),
    ),
    "ensembles": Table(
        columns(count="size clusters", text="models", name="kept", rate="members_error error all_wrong accuracy_gap")
        | columns(number="reduction sat sat_without_hubs error_consistency")
    ),
    "ensembles_binned": Table(
        columns(count="size ensembles", name="by", rate="error all_wrong") | with_interval(number="value reduction"),
        requires=("ensembles", "ensemble_relations", "ensembles_by_clusters", "selection"),
    ),
    "ensemble_relations": Table(RELATION),
    "ensembles_matched": Table(
        columns(count="size ensembles", name="group", number="reduction_unlike reduction_alike difference low high")
        | columns(rate="members_error_low members_error_high members_error_unlike members_error_alike")
    ),
    "ensembles_by_clusters": Table(
        columns(count="size ensembles clusters", rate="error members_error")
        | with_interval(number="reduction all_wrong"),
        unique=("size", "clusters"),
    ),
    "calibration": Table(
        columns(count="size ensembles members_nll members_ece", rate="error confidence")
        | with_interval(count="nll ece"),
        unique=("size",),
    ),
    "calibration_relations": Table(RELATION),
    "selection": Table(
        columns(count="size splits candidates", name="strategy", rate="error better_than_random")
        | columns(number="reduction below_random below_single")
        | with_interval(rate="held_out"),
        unique=("size", "strategy"),
    ),
    "recommended": Table(
        columns(count="size parameters", name="strategy", rank="place", text="models", flops="flops")
        | columns(rate="members_error least_accuracy held_out", number="reduction sat")
        | with_interval(rate="error"),
        unique=("size", "strategy", "place"),
    ),
}

STUDY = Study(
    "ensemble",
    "what ensembles gain, and whether unlike members gain more",
    TABLES,
    drawings="sat_exp.studies.ensemble.figures:drawings",
    choices=frozenset({"pool", "dataset", "attack"}),
)
