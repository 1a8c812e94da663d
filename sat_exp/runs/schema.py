"""Schemas of tables: the columns with their types, ranges and units, and the use of the table on the page and in W&B.

Nothing heavy is imported here; `tables` compares tables with their schemas.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial


@dataclass(frozen=True)
class Column:
    """The values that a column may hold.

    type: text, number or flag. low, high: the range of numbers.
    required: no value is missing. name: every text is one line and not empty. optional: a table may lack the column.
    sat: the least number is the logarithm of the run's floor.
    """

    type: str
    low: float = -math.inf
    high: float = math.inf
    required: bool = False
    name: bool = False
    optional: bool = False
    sat: bool = False


@dataclass(frozen=True)
class Table:
    """The schema of a table.

    unique: columns that together identify a row; model_a and model_b in either order. at_most: pairs of columns of
    which the first is never above the second. least_rows: the fewest rows. open: other columns are allowed too.
    requires: tables that a run with this one has. coloured: columns of models that are drawn in their family's colour.
    key_numbers: columns of a small table whose values are numbers of the run in W&B. on_page: the page lists the table.
    """

    columns: Mapping[str, Column]
    unique: tuple[str, ...] = ()
    at_most: tuple[tuple[str, str], ...] = ()
    least_rows: int = 0
    open: bool = False
    requires: tuple[str, ...] = ()
    coloured: tuple[str, ...] = ()
    key_numbers: tuple[str, ...] = ()
    on_page: bool = True


KINDS = {
    "text": Column("text"),
    "name": Column("text", required=True, name=True),
    "flag": Column("flag", required=True),
    "number": Column("number"),
    "coordinate": Column("number", required=True),
    "known_count": Column("number", low=0, required=True),
    "rank": Column("number", low=1),
    "rate": Column("number", 0, 1),
    "correlation": Column("number", -1, 1),
    "label": Column("number", low=-1, required=True),  # the index of a class; -1: not evaluated
    "sat": Column("number", high=math.log(100), sat=True),
    **dict.fromkeys(("count", "seconds", "bytes", "flops", "images_per_second"), Column("number", low=0)),
    "grey_levels": Column("number", low=0),  # in units of 1/255
}
"""The kinds of columns by name; those of measured numbers are called by their unit."""


def columns(**names: str) -> dict[str, Column]:
    """Columns by kind, names separated by spaces: columns(name="model", rate="fools fooled")."""
    return {name: KINDS[kind] for kind, listed in names.items() for name in listed.split()}


def with_interval(**names: str) -> dict[str, Column]:
    """Columns by kind, each followed by NAME_low and NAME_high, the ends of its interval. Those of SAT are numbers."""
    return {
        f"{name}{end}": KINDS["number"] if end and column.sat else column
        for name, column in columns(**names).items()
        for end in ("", "_low", "_high")
    }


def optional(**names: str) -> dict[str, Column]:
    """Columns by kind that a table may lack."""
    return {name: replace(column, optional=True) for name, column in columns(**names).items()}


PAIR = columns(name="model_a model_b")
UNIQUE_PAIR = ("model_a", "model_b")

# Tables that the page draws in another form, or that are for programs.
Measured = partial(Table, on_page=False)

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

TIMES = "attack clean transfer load gate check other read copy write"

TABLES = {
    "models": MODELS,
    "pairs": PAIRS,
    "components": Table(columns(name="model"), unique=("model",), open=True),
    "images": Measured(columns(text="id", name="sha256") | optional(count="label", text="class")),
    "store": Measured(columns(name="kind key", text="name") | optional(text="sha256", count="rows chunks bytes")),
    "numerics": Table(columns(name="model", text="attack evaluation notes"), unique=("model",)),
    "time": Table(columns(name="model") | columns(seconds=TIMES), unique=("model",)),
    "measures": Table(PAIR | columns(name="measure", number="value low high")),
    "measure_costs": Table(
        columns(name="measure needs", text="title", count="pairs", seconds="network_seconds seconds"),
        unique=("measure",),
    ),
    "failures": Table(columns(name="model", text="reason")),
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
"""The tables that a measurement writes."""
