"""The finished runs that tasks read: a folder that the user names, or the newest one."""

from pathlib import Path

from omegaconf import DictConfig

from sat_exp.errors import UserError
from sat_exp.runs import SUMMARY, Run

MEASURED = (
    *("attack.name", "dataset.digest", "settings.seed", "settings.labels", "settings.protocol", "settings.attack"),
    *("settings.dataset", "settings.score.floor", "settings.score.confidence", "settings.hardware.precision"),
    *("settings.hardware.tf32", "settings.hardware.channels_last"),
)
"""Fields that the summary of a measurement states."""


def existing(run: str, kind: str) -> Path:
    """The folder that `run` names; UserError where there is none."""
    try:
        there = Path(run).is_dir()
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}): give task.run=FOLDER of {kind}") from error
    if not there:
        raise UserError(f"there is no folder {run}: give task.run=FOLDER of {kind}")
    return Path(run)


def latest(outputs: Path, file: str = "tables/models.parquet") -> Run:
    """The measurement, not a study, that finished last and has the `file`."""
    for folder in Run.newest(outputs, file):
        finished = Run.open(folder)
        if finished.measured is None:
            return finished
    raise UserError(f"no finished run with {file} under {outputs}: run a task first, or give task.run=FOLDER")


def chosen(config: DictConfig, run: str | None) -> Run:
    """The finished run in the folder `run`, by default the newest one with pairs; UserError where a table does not fit
    its schema, and where a measurement does not state its settings."""
    finished = latest(Path(config.output_dir), "tables/pairs.parquet") if run is None else Run.open(Path(run))
    finished.tables()
    if {"models", "dataset"} <= set(finished.summary):
        finished.require(*MEASURED)
        if not isinstance(finished.summary["models"], dict):
            raise UserError(f"{finished.folder / SUMMARY} does not describe its models: run its command again")
    return finished
