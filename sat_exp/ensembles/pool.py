"""The models of a pool as arrays, and the stored error counts of their ensembles."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sat_exp.ensembles import contests, members
from sat_exp.ensembles.contests import Block, Contests
from sat_exp.ensembles.members import Array, Ensembles, Property
from sat_exp.measurement import Measurement
from sat_exp.measurement.subjects import Subject
from sat_exp.models import Candidate
from sat_exp.progress import progress
from sat_exp.similarity.agreement import kappa
from sat_exp.statistics.hubs import without_hubs
from sat_exp.store import StoredArray

log = logging.getLogger(__name__)

VERSION = 1  # of the counting, a part of the key of stored counts: raise it if the counts change
CHUNK = 2**16
SIMILARITIES = ("sat", "sat_without_hubs", "error_consistency")


@dataclass(frozen=True)
class Pool:
    """M models on N images. right: whether a model classifies an image correctly, bool [M, N]. costs: one row per
    model, one column per cost. sat: float64 [M, M], with the names of the models. clusters: int [M]."""

    right: NDArray[np.bool_]
    costs: pd.DataFrame
    sat: pd.DataFrame
    clusters: NDArray[np.integer]

    @property
    def names(self) -> list[str]:
        return list(self.sat.index)

    @cached_property
    def accuracy(self) -> Array:
        return self.right.mean(axis=1)

    @cached_property
    def properties(self) -> dict[str, Property]:
        return members.properties_of(1 - self.accuracy, similarities(self.sat, self.right), self.clusters)


def costs_of(models: Sequence[Subject]) -> pd.DataFrame:
    """parameters and flops of each model, one row per model."""
    costs = []
    with progress("costs", len(models)) as bar:
        for model in models:
            costs.append((model.parameters, model.candidate.flops()))
            bar(1)
    return pd.DataFrame(costs, columns=["parameters", "flops"])


def parameters_of(candidate: Candidate) -> int:
    """The number of parameters of a model, without loading it."""
    with torch.device("meta"):
        return sum(part.numel() for part in candidate.network().parameters()) or candidate.parameters


STATED: Mapping[str, Callable[[Candidate], int]] = {"parameters": parameters_of, "flops": lambda one: one.flops()}
"""The costs that are known before a model is loaded."""


def similarities(sat: pd.DataFrame, right: NDArray[np.bool_]) -> dict[str, Array]:
    """The SIMILARITIES of all pairs of models by name, [M, M]; the last is κ, see `kappa`. right: bool [M, N]."""
    correct, images = right.astype(np.float64), right.shape[1]
    both, accuracy = correct @ correct.T / images, right.mean(axis=1)
    first, second = accuracy[:, None] - both, accuracy[None, :] - both
    consistency, _ = kappa(both, first, second, 1 - both - first - second, images)
    matrices = sat.to_numpy(np.float64), without_hubs(sat).sat.to_numpy(np.float64), consistency
    return dict(zip(SIMILARITIES, matrices, strict=True))


def blocks(logits: Sequence[StoredArray], labels: NDArray[np.int64]) -> Iterator[Block]:
    """The stored logits of all models, one block of images after the other."""
    step = max(array.chunk for array in logits)
    for begin in range(0, len(labels), step):
        rows = np.arange(begin, min(begin + step, len(labels)))
        yield np.stack([array.gather(rows) for array in logits]), labels[rows]


def counted(
    pool: Pool,
    logits: Sequence[StoredArray],
    of_pool: Contests,
    size: int,
    average: str,
    most: int | None,
    measurement: Measurement,
) -> Ensembles:
    """The ensembles of `size`, all or a sample of `most`. Their counts are stored; only missing chunks are counted."""
    models = len(logits)
    ranks = members.ranks(models, size, most, seed=measurement.seed)
    sampled = None if len(ranks) == comb(models, size) else [len(ranks), measurement.seed]
    facts = {"logits": [array.digest for array in logits], "average": average, "size": size}
    facts |= {"sampled": sampled, "version": VERSION}
    shape, name = (len(ranks), 2), f"{models} models by {size}"
    array = measurement.store.open("ensembles", facts, shape=shape, dtype="int32", chunk=CHUNK, name=name)
    every = members.members_of(models, size, ranks)
    with measurement.store.lock("ensembles", array.key), progress(f"{size} models", len(ranks)) as bar:
        for damage in array.damaged():
            log.warning("%s: it is counted again", damage)
        missing = set(array.missing())
        for chunk in range(array.chunks):
            if chunk in missing:
                part = every[array.span(chunk)]
                counts = contests.count_errors(of_pool, part), contests.count_common_errors(pool.right, part)
                array.write(chunk, np.column_stack(counts))
            bar(array.length(chunk))
    return members.tabulate(every, array.read_all(), pool.right, pool.properties)
