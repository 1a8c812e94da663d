"""Batches of images whose results are not stored yet: read ahead of the device, and their results written."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from sat_exp.store import StoredArray, StoredRow

AHEAD = 2  # batches read in advance


@dataclass
class AttackBatches(Dataset):
    """The batches of an attack that `output` does not hold: the images at `rows` of `pixels`, in chunks of `output`.

    labels: the classes to lead away from, or the goal classes of a targeted attack, int64, one per row. seeds: one per
    row, for all random numbers of that image, so that neither batches nor their order matter.
    """

    pixels: StoredArray
    output: StoredArray
    rows: np.ndarray
    labels: np.ndarray
    seeds: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        self.work = self.output.missing()

    def images(self) -> int:
        """The number of images to attack."""
        return sum(self.output.length(chunk) for chunk in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        span = self.output.span(self.work[position])
        return {
            "images": torch.from_numpy(self.pixels.gather(self.rows[span])),
            "labels": torch.from_numpy(self.labels[span]),
            "seeds": self.seeds[span],
            "last_of": (self.output, self.work[position]),
        }


class EvaluationBatches(Dataset):
    """The batches of images whose outputs are not stored, over any number of (images, output) pairs.

    A batch is a chunk of images, or the part of it that belongs to one chunk of the output.
    """

    def __init__(self, jobs: Sequence[tuple[StoredArray, StoredArray | StoredRow]]) -> None:
        self.work: list[tuple[StoredArray, range, tuple[StoredArray | StoredRow, int] | None]] = []
        for images, output in jobs:
            for target in output.missing():
                start, stop = output.span(target).start, output.span(target).stop
                cuts = [start, *range((start // images.chunk + 1) * images.chunk, stop, images.chunk), stop]
                for first, last in pairwise(cuts):
                    self.work.append((images, range(first, last), (output, target) if last == stop else None))

    def images(self) -> int:
        """The number of images to evaluate."""
        return sum(len(rows) for _, rows, _ in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        images, rows, last_of = self.work[position]
        return {"images": torch.from_numpy(images.gather(rows)), "last_of": last_of}


class Ahead(IterableDataset):
    """Batches in their order; a thread reads the next ones while the device computes."""

    def __init__(self, batches: AttackBatches | EvaluationBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        waiting: deque[Future[dict[str, Any]]] = deque()
        with ThreadPoolExecutor(1) as reader:
            for position in range(len(self.batches)):
                waiting.append(reader.submit(self.batches.__getitem__, position))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class ChunkWriter(Callback):
    """Writes the outputs of Lightning's predict loop as chunks of stored arrays.

    `last_of` of a batch is the array and the chunk that ends with this batch, or None. A chunk consists of all outputs
    since the previous chunk. advance: called with the number of images after each batch.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance
        self.pending: list[np.ndarray] = []

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, index: int, loader: int = 0
    ) -> None:
        self.pending.append(outputs.cpu().numpy())
        if batch["last_of"] is not None:
            array, chunk = batch["last_of"]
            array.write(chunk, np.concatenate(self.pending))
            self.pending = []
        self.advance(len(outputs))
