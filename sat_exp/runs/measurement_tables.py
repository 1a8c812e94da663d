"""The schemas of the tables that a measurement writes."""

from functools import partial

from sat_exp.runs.schema import Table, columns, optional, with_interval

PAIR = columns(name="model_a model_b")
UNIQUE_PAIR = ("model_a", "model_b")

Measured = partial(Table, finding=False, on_page=False)
"""A table that the page draws in another form, or that is for programs."""

MODELS = Measured(
    columns(name="model family", known_count="images", count="parameters attacked fooled")
    | with_interval(rate="clean_accuracy white_box_success")
    | columns(flag="weak_attack pretrained", grey_levels="mean_linf mean_l2", rate="changed_pixels")
    | columns(seconds="attack_seconds", images_per_second="attack_images_per_second")
    | optional(count="clean_correct"),
    unique=("model",),
    at_most=(("fooled", "attacked"), ("attacked", "images")),
)
PAIRS = Measured(
    PAIR
    | columns(name="family_a family_b", count="images fooled_ab fooled_ba")
    | with_interval(rate="transfer_rate_ab transfer_rate_ba", sat="sat")
    | optional(flag="pretrained"),
    unique=UNIQUE_PAIR,
    at_most=(("fooled_ab", "images"), ("fooled_ba", "images")),
)

TABLES = {
    "models": MODELS,
    "pairs": PAIRS,
    "components": Table(columns(name="model"), unique=("model",), open=True, finding=False),
    "images": Measured(columns(text="id", name="sha256") | optional(count="label", text="class")),
    "store": Measured(columns(name="kind key", text="name") | optional(text="sha256", count="rows chunks bytes")),
    "measures": Table(PAIR | columns(name="measure", number="value low high")),
    "failures": Table(columns(name="model", text="reason"), finding=False),
    "examples": Measured(
        columns(name="model clean adversarial", text="image_id", count="image", flag="known")
        | columns(label="label clean_prediction adversarial_prediction")
        | optional(label="goal"),
        unique=("model", "image"),
    ),
    "example_predictions": Measured(
        columns(name="source target", count="image", label="prediction"), unique=("source", "target", "image")
    ),
    "embedding": Measured(columns(name="model method", coordinate="x y"), unique=("model", "method"), least_rows=3),
}
