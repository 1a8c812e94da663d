"""From models and images to stored predictions: every piece is computed once, and found in the store ever after."""

from sat_exp.measurement.measurement import Measurement, check_labels
from sat_exp.measurement.progress import Advance, ignore, progress
from sat_exp.measurement.subjects import Direction, Measured, Source, Subject, reason
from sat_exp.measurement.views import View, Views

__all__ = [
    "Advance",
    "Direction",
    "Measured",
    "Measurement",
    "Source",
    "Subject",
    "View",
    "Views",
    "check_labels",
    "ignore",
    "progress",
    "reason",
]
