"""A run from its title to its page: described, written to its folder, drawn, mirrored to W&B."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from sat_exp import report, tracking
from sat_exp.tasks import describing, results


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
        predictions: results.Predictions | None = None,
    ) -> report.Report:
        """Add `found` to the summary and write the folder; draw its figures and page; send all of it to W&B."""
        self.summary.update(found)
        results.write(self.folder, self.summary, tables, pictures, predictions)
        drawn = report.draw(self.folder)
        self.tracked.log_results(self.folder)
        return drawn


@contextmanager
def recorded(config: DictConfig, title: str, *, tags: Sequence[str] = ()) -> Iterator[Recording]:
    """Begin a run of `config`'s task; what the body raises marks it as failed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    summary = describing.describe(config, title)
    with tracking.run(
        instantiate(config.tracking),
        name=describing.run_name(config, folder),
        job_type=config.task.name,
        directory=folder,
        config=summary,
        tags=tags,
    ) as tracked:
        yield Recording(folder, summary, tracked)
