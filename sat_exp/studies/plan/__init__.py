"""What a measurement will cost: time, memory, disk and images."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns, with_interval

TABLES = {
    "plan": Table(
        columns(name="name", count="attacked", bytes="weights_bytes peak_bytes")
        | columns(seconds="load_seconds clean_seconds attack_seconds transfer_seconds")
        | with_interval(seconds="seconds"),
        unique=("name",),
    ),
    "throughput_used": Table(
        columns(name="name source", text="model torch device precision", seconds="load_seconds")
        | columns(count="input_size parameters batch_size threads slow fast", bytes="peak_memory_bytes")
        | columns(images_per_second="forward_images_per_second attack_step_images_per_second"),
        unique=("name",),
    ),
    "scaling": Table(columns(count="workers", seconds="seconds", number="efficiency"), unique=("workers",)),
    "images_needed": Table(
        columns(rate="transfer_rate", number="sat correlation", count="common_images images planned_images")
        | columns(count="width width_planned standard_error_planned"),
        unique=("transfer_rate", "width"),
    ),
}

STUDY = Study(
    "plan",
    "what a measurement will cost: time, memory, disk and images",
    TABLES,
    choices=frozenset({"model", "model@target", "pool", "dataset", "attack"}),
    pool_replaces_model=True,
)
