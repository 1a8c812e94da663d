"""What a sweep (-m) says at its end."""

import sys
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class SweepSummary(Callback):
    """Names the jobs that failed, after all of them have been tried; then the exit status is 1."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.jobs = 0

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        self.jobs += 1
        if job_return.status == JobStatus.COMPLETED and isinstance(job_return.return_value, str):
            self.failures.append((" ".join(job_return.overrides or []), job_return.return_value))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self.failures:
            lines = [f"  {overrides}: {reason}" for overrides, reason in self.failures]
            sys.exit("\n".join([f"error: {len(self.failures)} of {self.jobs} jobs failed:", *lines]))
