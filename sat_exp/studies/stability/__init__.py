"""How much of SAT is the attack: the same pool measured in several ways."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import PAIR, Table, columns

TABLES = {
    "variants": Table(
        columns(name="variant factor", text="attack", count="images", rate="white_box_success mean_transfer_rate")
        | columns(number="mean_sat", seconds="attack_seconds"),
        unique=("variant",),
    ),
    "variant_agreement": Table(
        columns(name="variant factor", correlation="spearman spearman_low spearman_high")
        | columns(number="rand rand_low rand_high", rate="same_nearest moved"),
        unique=("variant",),
        key_numbers=("spearman", "rand"),
    ),
    "variant_contrast": Table(
        columns(name="variant factor", count="relatives strangers", number="gap gap_low gap_high sharpness")
        | columns(rate="auc auc_low auc_high relatives_saturated strangers_saturated"),
        unique=("variant",),
    ),
    "variant_components": Table(
        columns(name="variant component", correlation="spearman", rank="rank"), unique=("variant", "component")
    ),
    "variant_images": Table(
        columns(count="images", correlation="spearman spearman_low spearman_high"), unique=("images",)
    ),
    "variant_correlations": Table(
        columns(name="variant_a variant_b", correlation="spearman"), unique=("variant_a", "variant_b")
    ),
    "variant_pairs": Table(
        columns(name="variant") | PAIR | columns(number="sat moved_by error"),
        unique=("variant", "model_a", "model_b"),
        on_page=False,
    ),
}

STUDY = Study(
    "stability",
    "how much of SAT depends on the attack, its settings and the images",
    TABLES,
    drawings="sat_exp.studies.stability.figures:drawings",
    choices=frozenset({"pool", "attack", "dataset", "model"}),
    pool_replaces_model=True,
)
