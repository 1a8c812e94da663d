"""Measures of similarity side by side on one pool: values, costs, and how alike they order the pairs."""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import PAIR, UNIQUE_PAIR, Table, columns

TABLES = {
    "measures_of_pairs": Table(PAIR, unique=UNIQUE_PAIR, open=True, requires=("measures", "measure_costs")),
    "measure_relations": Table(
        columns(name="measure_a measure_b", count="models pairs", correlation="spearman low high", rate="p"),
        unique=("measure_a", "measure_b"),
    ),
}

STUDY = Study(
    "measures",
    "how alike measures of similarity are, and what each costs",
    TABLES,
    drawings="sat_exp.studies.measures.figures:drawings",
    choices=frozenset({"pool", "dataset", "attack", "measure"}),
)
