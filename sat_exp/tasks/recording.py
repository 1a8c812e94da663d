"""One run from its description to its page: its folder is written and drawn, W&B receives a copy."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sat_exp import report, runs, settings, tracking
from sat_exp.tasks import describing


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
    ) -> report.Report:
        """Write the results, draw figures and page, and send exactly these files to W&B.

        facts: added to the summary. pictures: uint8 [C, H, W] by file. studied: the run that this is a study of.
        """
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
) -> tuple[report.Report, runs.Run]:
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
    folder = Path(HydraConfig.get().runtime.output_dir)
    runs.refuse_foreign(folder)
    summary = describing.describe(config, title)
    with tracking.run(
        settings.build(config.tracking, "tracking"),
        name=summary["name"],
        job_type=config.task.name,
        directory=folder,
        config=summary,
        tags=tags,
    ) as tracked:
        yield Recording(folder, summary, tracked)
