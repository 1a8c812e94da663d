"""The schemas of the tables that a measurement writes."""

from sat_exp.runs.schema import (
    CLASS,
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    RATE,
    SAT,
    SECONDS,
    TEXT,
    Column,
    Table,
    columns,
    optional,
    with_interval,
)

PAIR = columns(NAME, "model_a model_b")
UNIQUE_PAIR = ("model_a", "model_b")
GREY_LEVELS = Column("number", low=0, unit="1/255")

MODELS = Table(
    columns(NAME, "model family")
    | {"images": Column("number", low=0, required=True)}
    | columns(COUNT, "parameters attacked fooled")
    | optional(columns(COUNT, "clean_correct"))
    | with_interval(RATE, "clean_accuracy white_box_success")
    | columns(FLAG, "weak_attack pretrained")
    | columns(GREY_LEVELS, "mean_linf mean_l2")
    | {"changed_pixels": RATE, "attack_seconds": SECONDS, "attack_images_per_second": Column("number", 0, unit="1/s")},
    unique=("model",),
    at_most=(("fooled", "attacked"), ("attacked", "images")),
    finding=False,
    on_page=False,
)
PAIRS = Table(
    PAIR
    | columns(NAME, "family_a family_b")
    | columns(COUNT, "images fooled_ab fooled_ba")
    | with_interval(RATE, "transfer_rate_ab transfer_rate_ba")
    | with_interval(SAT, "sat", NUMBER)
    | optional(columns(FLAG, "pretrained")),
    unique=UNIQUE_PAIR,
    at_most=(("fooled_ab", "images"), ("fooled_ba", "images")),
    finding=False,
    on_page=False,
)

TABLES = {
    "models": MODELS,
    "pairs": PAIRS,
    "components": Table({"model": NAME}, unique=("model",), open=True, finding=False),
    "images": Table(
        columns(NAME, "id sha256") | optional({"label": COUNT, "class": TEXT}),
        finding=False,
        on_page=False,
    ),
    "store": Table(
        columns(NAME, "kind name key") | optional({"sha256": TEXT} | columns(COUNT, "rows chunks bytes")),
        finding=False,
        on_page=False,
    ),
    "measures": Table(PAIR | {"measure": NAME} | columns(NUMBER, "value low high")),
    "failures": Table({"model": NAME, "reason": TEXT}, finding=False),
    "examples": Table(
        columns(NAME, "model clean adversarial")
        | {"image_id": TEXT, "image": COUNT, "known": FLAG}
        | columns(CLASS, "label clean_prediction adversarial_prediction")
        | optional(columns(CLASS, "goal")),
        unique=("model", "image"),
        finding=False,
        on_page=False,
    ),
    "example_predictions": Table(
        columns(NAME, "source target") | {"image": COUNT, "prediction": CLASS},
        unique=("source", "target", "image"),
        finding=False,
        on_page=False,
    ),
    "embedding": Table(
        columns(NAME, "model method") | columns(Column("number", required=True), "x y"),
        unique=("model", "method"),
        least_rows=3,
        finding=False,
        on_page=False,
    ),
}
