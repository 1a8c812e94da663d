"""How well two SAT matrices agree."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import PAIR, UNIQUE_PAIR, Table, columns

COMPARED = PAIR | columns(
    sat="measured reference", number="difference standard_errors", count="error", flag="set_aside"
)

TABLES = {
    "agreement": Table(
        columns(name="group measure", count="models pairs", number="value low high expected", rate="p"),
        unique=("group", "measure"),
        key_numbers=("value",),
    ),
    "pairs_compared": Table(COMPARED, unique=UNIQUE_PAIR),
    "disagreements": Table(COMPARED, unique=UNIQUE_PAIR),
}

STUDY = Study(
    "compare",
    "how well two SAT matrices agree",
    TABLES,
    drawings="sat_exp.studies.compare.figures:drawings",
    computes=False,
)
