"""One run from its description to its page: its folder is written and drawn, W&B receives a copy."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from loky import cpu_count
from omegaconf import DictConfig

from sat_exp import runs, settings, tracking
from sat_exp.deferred import deferred

if TYPE_CHECKING:
    from sat_exp import report
else:
    report = deferred("sat_exp.report")

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "hydra-core", "numpy", "pillow", "wandb")


@dataclass(frozen=True)
class Recording:
    """A run in progress: its folder, its summary so far, and its W&B run."""

    folder: Path
    summary: dict[str, Any]
    tracked: tracking.Run

    def finish(
        self,
        facts: Mapping[str, Any],
        tables: Mapping[str, pd.DataFrame],
        pictures: Mapping[str, np.ndarray] | None = None,
        predictions: runs.Predictions | None = None,
        studied: runs.Run | None = None,
    ) -> "report.Report":
        """Write the results, draw figures and page, and send exactly these files to W&B. facts: added to the summary.
        pictures: uint8 [C, H, W] by file. studied: the run that this is a study of."""
        self.summary.update(facts)
        if studied is not None:
            self.summary.update(measured=str(studied.folder.absolute()), measured_digest=studied.digest)
        drawn, run = write(self.folder, self.summary, tables, pictures, predictions, studied)
        self.tracked.log_results(run)
        return drawn


def write(
    folder: Path,
    summary: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, np.ndarray] | None = None,
    predictions: runs.Predictions | None = None,
    studied: runs.Run | None = None,
) -> "tuple[report.Report, runs.Run]":
    """Make these the results in `folder`, all at once, with figures and page; returns the report and the run in memory,
    whatever another process writes there afterwards."""
    with runs.drafted(folder) as place:
        runs.fill(place, summary, tables, pictures, predictions)
        drawn = report.draw_draft(place, studied)
        runs.seal(place)
        written = replace(runs.Run.open(place).held(), folder=folder, studied=studied)
    return replace(drawn, folder=folder), written


@contextmanager
def recorded(config: DictConfig, title: str, *, tags: Sequence[str] = ()) -> Iterator[Recording]:
    """Begin a run of the task of `config`; an error in the body marks it as failed."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    runs.refuse_foreign(folder)
    summary = described(
        task=config.task.name,
        name=run_name(config, folder),
        title=title,
        command=shlex.join(["python", "-m", "sat_exp", *hydra.overrides.task]),
        settings=settings.plain(config),
        choices={group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")},
    )
    with tracking.run(
        settings.build(config.tracking, "tracking"),
        name=summary["name"],
        job_type=config.task.name,
        directory=folder,
        config=summary,
        tags=tags,
    ) as tracked:
        yield Recording(folder, summary, tracked)


def described(
    *, task: str, name: str, title: str, command: str, settings: Mapping[str, Any], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """The first part of the summary of a run that starts now. choices: the name chosen for each group of settings."""
    return {
        "task": task,
        "name": name,
        "title": title,
        "command": command,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": dict(settings),
        "choices": dict(choices),
        "versions": {"python": platform.python_version(), "sat_exp": version("sat_exp")}
        | {library: version(library) for library in LIBRARIES}
        | {"git_commit": git_commit()},
        "hardware": {"machine": platform.machine()} | computing(),
    }


def computing() -> dict[str, Any]:
    """The accelerator and the number of threads. A task that does not import torch computes on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"accelerator": "cpu", "threads": cpu_count()}
    return {
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }


def run_name(config: DictConfig, folder: Path) -> str:
    """The name of a run: its folder, relative to output_dir."""
    outputs = Path(config.output_dir).absolute()
    return folder.relative_to(outputs).as_posix() if folder.is_relative_to(outputs) else folder.name


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with a + if files differ from it; None elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
