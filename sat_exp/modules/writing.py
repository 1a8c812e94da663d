"""From Lightning's predict loop to the store, with progress."""

from collections.abc import Callable
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class ChunkWriter(Callback):
    """Writes the outputs of a predict loop as chunks of stored arrays.

    A batch names the chunk that it is the last of in `last_of`; the outputs since the previous one make that chunk.
    `advance` is told the number of images done.
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
