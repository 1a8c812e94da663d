"""task=report: draw the figures and the page of a finished run again."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sat_exp import report, runs
from sat_exp.errors import UserError
from sat_exp.settings.types import FileName, FilePath
from sat_exp.tasks import printing

MEASURED = (
    *("attack.name", "dataset.digest", "settings.seed", "settings.labels", "settings.protocol", "settings.attack"),
    *("settings.dataset", "settings.score.floor", "settings.score.confidence", "settings.hardware.precision"),
    *("settings.hardware.tf32", "settings.hardware.channels_last"),
)
"""What the summary of a measurement says of how it was made."""


def check(config: DictConfig, *, run: str | None, **_: Any) -> None:
    runs.read(folder_of(config, run))


def folder_of(config: DictConfig, run: str | None) -> Path:
    return existing(run, "a finished run") if run is not None else latest(Path(config.output_dir)).folder


def run(config: DictConfig, *, name: FileName, run: FilePath | None) -> None:
    folder = folder_of(config, run)
    drawn = report.draw(folder)
    printing.console().print(f"report: {drawn.page}", soft_wrap=True)


def existing(run: str, what: str) -> Path:
    """The folder that task.run names; UserError where there is none."""
    try:
        there = Path(run).is_dir()
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}): give task.run=FOLDER of {what}") from error
    if not there:
        raise UserError(f"there is no folder {run}: give task.run=FOLDER of {what}")
    return Path(run)


def latest(outputs: Path, holding: str = "tables/models.parquet") -> runs.Run:
    """The run, not the study of one, that finished last and holds the file `holding`."""
    for folder in runs.newest(outputs, holding):
        found = runs.read(folder)
        if found.measured is None:
            return found
    raise UserError(f"no finished run with {holding} under {outputs}: run a task first, or give task.run=FOLDER")


def chosen(config: DictConfig, run: str | None) -> runs.Run:
    """The finished run in the folder `run`, or where none is given the newest of pairs; its tables are checked, and
    that a measurement says how it was made."""
    found = latest(Path(config.output_dir), "tables/pairs.parquet") if run is None else runs.read(Path(run))
    found.checked_tables()
    if {"models", "dataset"} <= set(found.summary):
        found.require(*MEASURED)
        if not isinstance(found.summary["models"], dict):
            raise UserError(
                f"{found.folder / runs.SUMMARY} does not say how its models are made: run its command again"
            )
    return found
