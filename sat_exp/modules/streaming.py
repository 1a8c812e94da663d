"""Batches from the store to the device and results back, in threads, so that the device need not wait for either."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import IterableDataset

from sat_exp.modules.clock import Clock
from sat_exp.store import StoredArray, StoredRow

AHEAD = 2
"""Batches that are read in advance for each reading thread, and batches of results that wait to be written."""


class Batches(Protocol):
    """Batches by position. A batch is a dict with `sinks`, one for each output, `images` and perhaps more tensors."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> dict[str, Any]: ...


class Sink:
    """The missing chunks of an array, which are written as their rows come, in order. name: of the model. failed: why
    no more rows come."""

    def __init__(self, name: str, array: StoredArray | StoredRow, chunks: Sequence[int]) -> None:
        self.name, self.array, self.chunks = name, array, deque(chunks)
        self.pending: list[np.ndarray] = []
        self.failed: str | None = None

    def add(self, rows: np.ndarray) -> None:
        """Take the next rows, and write the chunks that are then complete."""
        self.pending.append(rows)
        while self.chunks and sum(map(len, self.pending)) >= (length := self.array.length(self.chunks[0])):
            waiting = np.concatenate(self.pending)
            self.array.write(self.chunks[0], waiting[:length])
            self.chunks.popleft()
            self.pending = [waiting[length:]] if len(waiting) > length else []


@dataclass(frozen=True)
class Output:
    """What a model makes of a batch. values: [B, …]. finite: whether all its logits were, bool [], on the device."""

    values: Tensor
    finite: Tensor

    def to_host(self) -> "Output":
        """Itself in pinned memory of the host; the copy may still be under way."""
        return Output(self.values.to("cpu", non_blocking=True), self.finite.to("cpu", non_blocking=True))


@dataclass
class Ahead(IterableDataset):
    """Batches in their order; threads read the next ones while the device computes. pinned: in memory from which the
    device copies while it computes."""

    batches: Batches
    clock: Clock
    name: str
    threads: int
    pinned: bool

    def __iter__(self) -> Iterator[dict[str, Any]]:
        waiting: deque[Future[dict[str, Any]]] = deque()
        with ThreadPoolExecutor(self.threads) as readers:
            try:
                for position in range(len(self.batches)):
                    waiting.append(readers.submit(self.read, position))
                    if len(waiting) > AHEAD * self.threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                readers.shutdown(wait=False, cancel_futures=True)

    def read(self, position: int) -> dict[str, Any]:
        with self.clock.here(self.name, "read"):
            batch = self.batches[position]
            if self.pinned:
                batch |= {key: value.pin_memory() for key, value in batch.items() if isinstance(value, Tensor)}
            return batch


class Writer(Callback):
    """Gives the outputs of the predict loop to their sinks, in a thread. It is used in a `with` block, at whose end all
    are written. advance: is called with the number of images after each batch."""

    def __init__(self, clock: Clock, name: str, advance: Callable[[int], None]) -> None:
        self.clock, self.name, self.advance = clock, name, advance
        self.thread = ThreadPoolExecutor(1)
        self.waiting: deque[tuple[Future[None], int]] = deque()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            while self.waiting and kind is None:
                self.take()
        finally:
            self.thread.shutdown(cancel_futures=True)

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: list[Output], batch: Any, index: int, loader: int = 0
    ) -> None:
        with self.clock.on_device(self.name, "copy"):
            landing = [output.to_host() for output in outputs]
        landed = torch.cuda.Event() if self.clock.device.type == "cuda" else None
        if landed is not None:
            landed.record()
        images = len(batch["images"]) * len(outputs)
        self.waiting.append((self.thread.submit(self.write, batch["sinks"], landing, landed), images))
        while len(self.waiting) > AHEAD:
            self.take()

    def take(self) -> None:
        """Wait for the oldest batch that is not written yet."""
        writing, images = self.waiting.popleft()
        writing.result()
        self.advance(images)

    def write(self, sinks: Sequence[Sink], landing: Sequence[Output], landed: torch.cuda.Event | None) -> None:
        if landed is not None:
            landed.synchronize()
        with self.clock.here(self.name, "write"):
            for sink, output in zip(sinks, landing, strict=True):
                if not output.finite and sink.failed is None:
                    sink.failed = "its logits are not finite for some images: check its weights and hardware.precision"
                if sink.failed is None:
                    sink.add(output.values.numpy())
