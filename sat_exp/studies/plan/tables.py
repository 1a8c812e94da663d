"""The schemas of the tables of a plan."""

from sat_exp.runs.schema import (
    BYTES,
    COUNT,
    NAME,
    NUMBER,
    RATE,
    SECONDS,
    TEXT,
    Column,
    Table,
    columns,
    with_interval,
)

SPEED = Column("number", low=0, unit="images/s")

TABLES = {
    "plan": Table(
        {"name": NAME, "attacked": Column("number", low=0, unit="images")}
        | columns(SECONDS, "load_seconds clean_seconds attack_seconds transfer_seconds")
        | with_interval(SECONDS, "seconds")
        | columns(BYTES, "weights_bytes peak_bytes"),
        unique=("name",),
    ),
    "throughput_used": Table(
        columns(NAME, "name source")
        | columns(TEXT, "model torch device precision")
        | columns(COUNT, "input_size parameters batch_size threads slow fast")
        | columns(SPEED, "forward_images_per_second attack_step_images_per_second")
        | {"load_seconds": SECONDS, "peak_memory_bytes": BYTES},
        unique=("name",),
    ),
    "images_needed": Table(
        {"transfer_rate": RATE, "sat": NUMBER, "correlation": NUMBER}
        | columns(COUNT, "common_images images planned_images")
        | columns(COUNT, "width width_planned standard_error_planned"),
        unique=("transfer_rate", "width"),
    ),
}
