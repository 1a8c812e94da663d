"""A callback that stores the outputs of Lightning's predict loop."""

from collections.abc import Callable
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class ChunkWriter(Callback):
    """Writes the outputs of a predict loop as chunks of stored arrays.

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
