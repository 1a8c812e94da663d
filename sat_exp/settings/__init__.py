"""The whole configuration, checked before anything is loaded: types, ranges, choices, names of code, secrets."""

from sat_exp.settings.checking import (
    allowing,
    build,
    check,
    check_model,
    check_values,
    chosen_task,
    plain,
)
from sat_exp.settings.package_file import package_file
from sat_exp.settings.schema import checked

__all__ = [
    "allowing",
    "build",
    "check",
    "check_model",
    "check_values",
    "checked",
    "chosen_task",
    "package_file",
    "plain",
]
