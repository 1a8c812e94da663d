"""A run to record, and what it left."""

import json
import logging

from sat_exp import tracking
from sat_exp.tracking import Tracking


def record(directory, settings=None, **changes):
    """The context manager under test, with the arguments that most tests do not care about."""
    arguments = {"name": "some run", "job_type": "matrix", "config": {}} | changes
    return tracking.run(settings or Tracking("offline"), directory=directory, **arguments)


def pointer(directory):
    return json.loads((directory / "tracking.json").read_text())


def warnings_of(caplog):
    """What this project warned of; W&B's own log lines go to its files."""
    return [entry for entry in caplog.records if entry.name.startswith("sat_exp") and entry.levelno >= logging.WARNING]
