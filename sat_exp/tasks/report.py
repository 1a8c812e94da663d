"""task=report: draw the figures and the page of a finished run anew."""

import json
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from sat_exp import report
from sat_exp.errors import UserError


def run(config: DictConfig, *, name: str, run: str | None) -> None:
    folder = Path(run) if run is not None else latest(Path(config.output_dir))
    if not (folder / "summary.json").is_file():
        raise UserError(f"{folder} holds no results (no summary.json): give task.run=FOLDER of a finished run")
    report.draw(folder)
    Console().print(f"report: {folder / 'report.html'}", soft_wrap=True)


def latest(outputs: Path, holding: str = "tables/models.parquet") -> Path:
    """The folder of the run, not the study of one, that finished last and holds the file `holding`."""
    runs = [
        path
        for path in outputs.glob("**/summary.json")
        if (path.parent / holding).is_file() and "measured" not in json.loads(path.read_text())
    ]
    if not runs:
        raise UserError(f"no finished run with {holding} under {outputs}: run a task first, or give task.run=FOLDER")
    return max(runs, key=lambda path: path.stat().st_mtime).parent
