"""From models and images to stored predictions, tables and examples: every part is computed once and read from the
store afterwards."""

from sat_exp.measurement.examples import Examples, with_examples
from sat_exp.measurement.measurement import Measurement, check_models
from sat_exp.measurement.subjects import Direction, Measured
from sat_exp.measurement.tables import Scoring, facts, model_table, pair_table, tables

__all__ = [
    "Direction",
    "Examples",
    "Measured",
    "Measurement",
    "Scoring",
    "check_models",
    "facts",
    "model_table",
    "pair_table",
    "tables",
    "with_examples",
]
