"""The models of a pool as arrays, and the stored error counts of their ensembles."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import pandas as pd

from sat_exp.measurement import Measured, Measurement, progress
from sat_exp.studies.ensemble import contests, diversity, members, selection
from sat_exp.studies.ensemble.contests import Block, Contests
from sat_exp.studies.ensemble.members import Ensembles

log = logging.getLogger(__name__)

VERSION = 1
"""The version of the counting, a part of the key of stored counts: raise it if the counts change."""

CHUNK = 2**16


@dataclass(frozen=True)
class Pool:
    """The M measured models in the order of the pool, on N images.

    labels: int [N]; sat: float64 [M, M] by name; clusters: int [M].
    """

    measured: Measured
    labels: np.ndarray
    sat: pd.DataFrame
    clusters: np.ndarray

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.measured.models]

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each model classifies each image correctly, bool [M, N]."""
        return np.array([model.clean == self.labels for model in self.measured.models])

    @cached_property
    def accuracy(self) -> np.ndarray:
        """float64 [M]."""
        return self.right.mean(axis=1)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Parameters and FLOPs, one row per model."""
        models = self.measured.models
        return pd.DataFrame(
            {
                "parameters": [model.parameters for model in models],
                "flops": [model.candidate.flops() for model in models],
            }
        )

    @cached_property
    def similarities(self) -> dict[str, np.ndarray]:
        return selection.similarities(self.sat, self.right)

    @property
    def properties(self) -> dict[str, diversity.Property]:
        return diversity.properties(self.similarities, self.clusters, 1 - self.accuracy)

    def blocks(self) -> Iterator[Block]:
        """The stored clean logits of all models, one block of images after the other."""
        arrays = [model.logits for model in self.measured.models]
        step = max(array.chunk for array in arrays)
        for begin in range(0, len(self.labels), step):
            rows = np.arange(begin, min(begin + step, len(self.labels)))
            yield np.stack([array.gather(rows) for array in arrays]), self.labels[rows]


def counted(
    pool: Pool, of_pool: Contests, size: int, average: str, most: int | None, measurement: Measurement
) -> Ensembles:
    """The ensembles of `size`, all or a sample of `most`. Their counts are stored; only missing chunks are counted."""
    models = len(pool.names)
    ranks = members.ranks(models, size, most, seed=measurement.seed)
    facts = {
        "logits": [model.logits.digest for model in pool.measured.models],
        "average": average,
        "size": size,
        "sampled": None if len(ranks) == comb(models, size) else [len(ranks), measurement.seed],
        "version": VERSION,
    }
    array = measurement.store.open(
        "ensembles", facts, shape=(len(ranks), 2), dtype="int32", chunk=CHUNK, name=f"{models} models by {size}"
    )
    with measurement.store.lock("ensembles", array.key), progress(f"{size} models", len(ranks)) as bar:
        for damage in array.damaged():
            log.warning("%s: it is counted again", damage)
        missing = set(array.missing())
        for chunk in range(array.chunks):
            if chunk in missing:
                part = members.members_of(models, size, ranks[array.span(chunk)])
                counts = contests.count_errors(of_pool, part), contests.count_common_errors(pool.right, part)
                array.write(chunk, np.column_stack(counts))
            bar(array.length(chunk))
    every = members.members_of(models, size, ranks)
    return members.tabulate(every, array.read_all(), pool.right, pool.similarities, pool.clusters)
