"""task=report: draw the figures and the page of a finished run again, or set several runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sat_exp import report
from sat_exp.errors import UserError
from sat_exp.runs import Run
from sat_exp.settings.types import Existing, FileName
from sat_exp.studies.report import comparable, findings
from sat_exp.studies.report.side_by_side import side_by_side
from sat_exp.tasks import printing, results
from sat_exp.tasks.finished import existing, latest
from sat_exp.tasks.recording import recorded


def check(config: DictConfig, *, run: str | None, runs: Sequence[str] = (), **_: Any) -> None:
    if not runs:
        Run.open(folder_of(config, run))
        return
    if run is not None:
        raise UserError("task.run draws one run again and task.runs sets several side by side: give one of the two")
    if len(runs) < 2:
        raise UserError("task.runs needs two runs or more: give 'task.runs=[A,B]', or one with task.run=FOLDER")
    comparable.compared(runs)


def folder_of(config: DictConfig, run: str | None) -> Path:
    return existing(run, "a finished run") if run is not None else latest(Path(config.output_dir)).folder


def run(config: DictConfig, *, name: FileName, run: Existing | None, runs: Sequence[Existing] = ()) -> None:
    """Draw one run again, or write a page of several runs, mirror it to W&B and print its findings."""
    if not runs:
        drawn = report.draw(folder_of(config, run))
        printing.console().print(f"report: {drawn.page}", soft_wrap=True)
        return
    found, reasons = comparable.compared(runs)
    score = config.score
    resampling = {"resamples": score.resamples, "confidence": score.confidence, "seed": score.seed}
    tables = side_by_side(found, reasons, **resampling)
    facts = {
        "runs": [{"run": label, "folder": str(one.folder), "digest": one.digest} for label, one in found.items()],
        "findings": findings.sentences(tables),
        "warnings": comparable.cautions(found, reasons),
    }
    named = " and ".join(found) if len(found) == 2 else f"{len(found)} runs"
    with recorded(config, f"{named} side by side") as recording:
        drawn = recording.finish(facts, tables)
    results.show(recording.summary, findings.printed(tables), drawn.page)
