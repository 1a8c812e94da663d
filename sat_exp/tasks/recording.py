"""A run from its title to its page: described, written to its folder, drawn, mirrored to W&B."""

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
    """A run under way: its folder, what is known of it so far, and its W&B run."""

    folder: Path
    summary: dict[str, Any]
    tracked: tracking.Run

    def finish(
        self,
        found: dict[str, Any],
        tables: Mapping[str, pd.DataFrame],
        pictures: Mapping[str, np.ndarray] | None = None,
        predictions: runs.Predictions | None = None,
        studied: runs.Run | None = None,
    ) -> report.Report:
        """Add `found` to the summary; write tables, figures and page, make them the folder's results at once, and send
        these very ones to W&B, whatever another process writes there; studied: the run that this is a study of."""
        self.summary.update(found)
        if studied is not None:
            self.summary.update(measured=str(studied.folder.absolute()), measured_digest=studied.digest)
        with runs.drafted(self.folder) as place:
            runs.fill(place, self.summary, tables, pictures, predictions)
            drawn = report.draw_draft(place, studied)
            runs.seal(place)
            mirrored = replace(runs.read(place).held(), folder=self.folder, studied=studied)
        self.tracked.log_results(mirrored)
        return replace(drawn, folder=self.folder)


@contextmanager
def recorded(config: DictConfig, title: str, *, tags: Sequence[str] = ()) -> Iterator[Recording]:
    """Begin a run of `config`'s task; what the body raises marks it as failed."""
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
