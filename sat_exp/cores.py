"""Work on all cores."""

from collections.abc import Iterable, Iterator
from typing import Any

from joblib import cpu_count, parallel_config
from sklearn import config_context
from sklearn.utils.parallel import Parallel, delayed

from sat_exp.progress import progress

__all__ = ["computed", "delayed"]

IDLE = 20
"""Seconds after which a process without work ends, also where this program was killed."""


def computed(label: str, jobs: Iterable[Any], count: int) -> list[Any]:
    """The results of `count` jobs of `delayed`, in their order, with a bar of progress.

    Jobs run in other processes, one per core, since much of their time is spent in Python. On one core they run here.
    """
    return list(_results(label, jobs, count))


def _results(label: str, jobs: Iterable[Any], count: int) -> Iterator[Any]:
    quick = config_context(skip_parameter_validation=True, assume_finite=True)
    with quick, parallel_config("loky", idle_worker_timeout=IDLE), progress(label, count) as bar:
        for result in Parallel(n_jobs=cpu_count(), return_as="generator")(jobs):
            bar(1)
            yield result
