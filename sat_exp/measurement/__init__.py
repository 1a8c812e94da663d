"""From models and images to stored predictions, tables and examples: every part is computed once and read from the
store afterwards."""

from sat_exp.measurement.checks import check_models
from sat_exp.measurement.examples import Examples, with_examples
from sat_exp.measurement.measurement import Measurement
from sat_exp.measurement.progress import Advance, ignore, progress
from sat_exp.measurement.scheduling import reason
from sat_exp.measurement.subjects import Direction, Measured, Source, Subject
from sat_exp.measurement.tables import Scoring, facts, model_table, pair_table, tables
from sat_exp.measurement.views import View, Views

__all__ = [
    "Advance",
    "Direction",
    "Examples",
    "Measured",
    "Measurement",
    "Scoring",
    "Source",
    "Subject",
    "View",
    "Views",
    "check_models",
    "facts",
    "ignore",
    "model_table",
    "pair_table",
    "progress",
    "reason",
    "tables",
    "with_examples",
]
