"""Lightning's predict loop over images whose results are not stored yet: modules, batches, writing of results."""

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

from sat_exp.attacks import Attack
from sat_exp.errors import UserError
from sat_exp.models import Classifier, Model, preflight
from sat_exp.modules.hardware import in_halves
from sat_exp.store import StoredArray, StoredRow

AHEAD = 2  # batches read in advance


class Evaluation(LightningModule):
    """Logits [B, classes] or predicted classes int32 [B] of `EvaluationBatches`; UserError if they are not finite."""

    def __init__(self, classifier: Classifier, *, logits: bool) -> None:
        super().__init__()
        self.classifier, self.logits = classifier, logits

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"])

    def step(self, images: Tensor) -> Tensor:
        logits = self.classifier(images.float() / 255).float()
        if not logits.isfinite().all():
            raise UserError("its logits are not finite for some images: check its weights and hardware.precision")
        return logits if self.logits else logits.argmax(dim=1).int()


class Generation(LightningModule):
    """Adversarial images, uint8 [B, C, H, W], of `AttackBatches`; UserError if a logit is not finite."""

    def __init__(self, classifier: Classifier, attack: Attack) -> None:
        super().__init__()
        self.classifier, self.attack = classifier, attack

    def predict_step(self, batch: dict[str, Any], index: int) -> Tensor:
        return in_halves(self.step, batch["images"], batch["labels"], batch["seeds"])

    def step(self, images: Tensor, labels: Tensor, seeds: Sequence[tuple[int, int]]) -> Tensor:
        finite = torch.ones((), dtype=torch.bool, device=images.device)

        def watched(pixels: Tensor) -> Tensor:
            logits = self.classifier(pixels)
            finite.logical_and_(logits.detach().isfinite().all())  # read once: reading waits for the device
            return logits

        adversarial = self.attack(watched, images, labels, [np.random.default_rng(seed) for seed in seeds])
        if not finite:
            raise UserError("its logits are not finite under attack: check its weights and hardware.precision")
        return adversarial


class Preflight(LightningModule):
    """`preflight.check` for images uint8 [B, C, H, W], or for as many as fit in the device's memory."""

    checked: preflight.Checked  # after the loop

    def __init__(self, model: Model, classes: int) -> None:
        super().__init__()
        self.classifier = model.classifier
        self.model, self.classes = model, classes

    @torch.enable_grad()
    def predict_step(self, batch: Tensor, index: int) -> Tensor:
        try:
            self.checked = preflight.check(self.model, batch, self.classes)
            return torch.tensor(self.checked.deterministic)  # Lightning warns of None
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        torch.cuda.empty_cache()
        return self.predict_step(batch[: len(batch) // 2], index)


@dataclass
class AttackBatches(Dataset):
    """The batches of an attack that `output` does not hold: the images at `rows` of `pixels`, in chunks of `output`.
    labels: the classes to lead away from, or the goal classes of a targeted attack, int64, one per row. seeds: one per
    row, for all random numbers of that image, so that neither batches nor their order matter. chunks: those of `output`
    that are to be made."""

    pixels: StoredArray
    output: StoredArray
    rows: np.ndarray
    labels: np.ndarray
    seeds: Sequence[tuple[int, int]]
    chunks: range

    def __post_init__(self) -> None:
        self.work = [chunk for chunk in self.output.missing() if chunk in self.chunks]

    def images(self) -> int:
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
    """The batches of images whose outputs are not stored, over any number of (images, output) pairs. A batch is a chunk
    of images, or the part of it that belongs to one chunk of the output."""

    def __init__(self, jobs: Sequence[tuple[StoredArray, StoredArray | StoredRow]]) -> None:
        self.work: list[tuple[StoredArray, range, tuple[StoredArray | StoredRow, int] | None]] = []
        for images, output in jobs:
            for target in output.missing():
                start, stop = output.span(target).start, output.span(target).stop
                cuts = [start, *range((start // images.chunk + 1) * images.chunk, stop, images.chunk), stop]
                for first, last in pairwise(cuts):
                    self.work.append((images, range(first, last), (output, target) if last == stop else None))

    def images(self) -> int:
        return sum(len(rows) for _, rows, _ in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        images, rows, last_of = self.work[position]
        return {"images": torch.from_numpy(images.gather(rows)), "last_of": last_of}


@dataclass
class Ahead(IterableDataset):
    """Batches in their order; a thread reads the next ones while the device computes."""

    batches: AttackBatches | EvaluationBatches

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
    """Writes the outputs of the predict loop as chunks of stored arrays. `last_of` of a batch is the array and the
    chunk that ends with it, or None. advance: called with the number of images after each batch."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance
        self.pending: list[np.ndarray] = []  # the outputs since the last chunk

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Tensor, batch: Any, index: int, loader: int = 0
    ) -> None:
        self.pending.append(outputs.cpu().numpy())
        if batch["last_of"] is not None:
            array, chunk = batch["last_of"]
            array.write(chunk, np.concatenate(self.pending))
            self.pending = []
        self.advance(len(outputs))
