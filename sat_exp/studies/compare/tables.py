"""The schemas of the tables of a comparison."""

from sat_exp.runs.measurement_tables import PAIR, UNIQUE_PAIR
from sat_exp.runs.schema import COUNT, FLAG, NAME, NUMBER, RATE, SAT, Table, columns

COMPARED = (
    PAIR
    | columns(SAT, "measured reference")
    | columns(NUMBER, "difference standard_errors")
    | {"error": COUNT, "set_aside": FLAG}
)

TABLES = {
    "agreement": Table(
        columns(NAME, "group measure")
        | columns(COUNT, "models pairs")
        | columns(NUMBER, "value low high expected")
        | {"p": RATE},
        unique=("group", "measure"),
    ),
    "pairs_compared": Table(COMPARED, unique=UNIQUE_PAIR),
    "disagreements": Table(COMPARED, unique=UNIQUE_PAIR),
}
