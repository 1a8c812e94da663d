"""Slurm, through submitit: each piece of work is a job."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event, Thread
from typing import Annotated, Any

from pydantic import Field

from sat_exp.engine.engine import Engine, Piece
from sat_exp.errors import UserError
from sat_exp.progress import Advance, ignored
from sat_exp.settings.types import FolderPath

PAUSE = 1.0
"""Seconds between two looks at the jobs."""


class Requeued:
    """A piece of work that Slurm may preempt and submit again."""

    def __init__(self, work: Callable[[Advance], Any]) -> None:
        self.work = work

    def __call__(self) -> tuple[Exception | None, Any]:
        """The error or the result: submitit itself hands back the text of an error only."""
        try:
            return None, self.work(ignored)
        except Exception as error:
            return error, None

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass
class Slurm(Engine):
    """folder: of the jobs' logs and results, on a file system that all machines share. parameters: of Slurm, by the
    names of submitit's `update_parameters`, such as slurm_partition, gpus_per_node, timeout_min. local: processes of
    this machine in the place of Slurm, to try it. seconds: about how long a piece of work takes."""

    fresh = True
    folder: FolderPath
    parameters: dict[str, Any] | None = None
    local: bool = False
    seconds: Annotated[float, Field(gt=0)] = 300

    def __enter__(self) -> "Slurm":
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError("engine=slurm needs submitit: pip install 'sat_exp[slurm]'") from error
        self.executor = submitit.AutoExecutor(self.folder, cluster="local" if self.local else "slurm")
        self.executor.update_parameters(**(self.parameters or {}))
        self.jobs: list[tuple[Any, Future[Any], Piece, Advance]] = []
        self.ended = Event()
        Thread(target=self.watch, daemon=True).start()
        return self

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((self.executor.submit(Requeued(piece.work)), future, piece, advance))
        return future

    def watch(self) -> None:
        """Take the results of jobs as they end."""
        while not self.ended.wait(PAUSE):
            for entry in [entry for entry in self.jobs if entry[0].done()]:
                job, future, piece, advance = entry
                self.jobs.remove(entry)
                try:
                    error, result = job.result()
                except Exception as death:  # the job ended without an outcome, for example for want of memory
                    error, result = death, None
                if error is None:
                    advance(piece.images)
                    future.set_result(result)
                else:
                    future.set_exception(error)

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        for job, *_ in self.jobs:
            job.cancel()
