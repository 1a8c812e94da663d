"""Lightning modules that predict classes and generate adversarial images, and the batches they take.

The models are on their device already and are no submodules: Lightning would move them back after every loop.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn

from sat_exp.attacks import Attack
from sat_exp.errors import UserError, reason
from sat_exp.models import Classifier, Model, preflight
from sat_exp.modules.clock import Clock
from sat_exp.modules.hardware import Runner
from sat_exp.modules.streaming import Output, Sink
from sat_exp.store import StoredArray, StoredRow

Reading = Callable[[Classifier, Tensor], Tensor]
"""What is read of a classifier for pixels, float [B, C, H, W] in [0, 1]: float or int [B, …]."""


def logits_of(classifier: Classifier, pixels: Tensor) -> Tensor:
    """float32 [B, classes]."""
    return classifier(pixels).float()


def classes_of(classifier: Classifier, pixels: Tensor) -> Tensor:
    """The predicted classes, int32 [B]; −1 where a logit is not finite."""
    logits = classifier(pixels).float()
    return torch.where(logits.isfinite().all(dim=1), logits.argmax(dim=1), -1).int()


class Evaluation(LightningModule):
    """The outputs of models, by name, for `EvaluationBatches`: what `reading` gives, which counts as `activity`. A
    model that fails gets no more batches; its sinks state why."""

    def __init__(self, runners: dict[str, Runner], clock: Clock, reading: Reading, activity: str) -> None:
        super().__init__()
        self.runners, self.clock, self.reading, self.activity = runners, clock, reading, activity

    def predict_step(self, batch: dict[str, Any], index: int) -> list[Output]:
        return [self.output(sink, batch["images"]) for sink in batch["sinks"]]

    def output(self, sink: Sink, images: Tensor) -> Output:
        finite = torch.ones((), dtype=torch.bool, device=images.device)
        if sink.failed is None:
            runner = self.runners[sink.name]

            def step(part: Tensor) -> Tensor:
                values = self.reading(runner.classifier, part.float() / 255)
                finite.logical_and_(values.isfinite().all() if values.is_floating_point() else (values >= 0).all())
                return values

            try:
                with self.clock.on_device(sink.name, self.activity):
                    return Output(runner.fitting(step, images), finite)
            except Exception as error:
                sink.failed = reason(error)
        return Output(images.new_empty(0), finite)


class Generation(LightningModule):
    """Adversarial images, uint8 [B, C, H, W], of `AttackBatches`; UserError if a logit is not finite."""

    def __init__(self, runner: Runner, attack: Attack, clock: Clock) -> None:
        super().__init__()
        self.runner, self.attack, self.clock = runner, attack, clock

    def predict_step(self, batch: dict[str, Any], index: int) -> list[Output]:
        (sink,), others = batch["sinks"], batch["others"]
        finite = torch.ones((), dtype=torch.bool, device=batch["images"].device)
        more = {"others": others} if len(others) else {}

        def watch(classifier: nn.Module, inputs: Any, logits: Tensor) -> None:
            finite.logical_and_(logits.detach().isfinite().all())  # is read later: reading waits for the device

        def step(images: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
            return self.attack(self.runner.classifier, images, labels, seeds, **more)

        if sink.failed is not None:
            raise UserError(sink.failed)
        watching = self.runner.classifier.register_forward_hook(watch)
        try:
            with self.clock.on_device(sink.name, "attack"):
                return [Output(self.runner.fitting(step, batch["images"], batch["labels"], batch["seeds"]), finite)]
        finally:
            watching.remove()


class Preflight(LightningModule):
    """`preflight.check` for images uint8 [B, C, H, W], or for as many as fit in the device's memory."""

    checked: preflight.Checked  # after the loop

    def __init__(self, model: Model, classes: int) -> None:
        super().__init__()
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


class AttackBatches:
    """Batches of the images that `chunks` of `output` lack: those at `rows` of `pixels`, int64 [N'], with `labels`, the
    classes to lead away from or the goal classes of a targeted attack, and `seeds`, int64 [N'] both. Each has the first
    of `pixels` too, as many as `companions`."""

    def __init__(
        self,
        name: str,
        pixels: StoredArray,
        output: StoredArray,
        inputs: tuple[np.ndarray, np.ndarray, np.ndarray],
        chunks: range,
        batch_size: int,
        companions: int = 0,
    ) -> None:
        missing = [chunk for chunk in output.missing() if chunk in chunks]
        self.sink, self.pixels, self.batch_size = Sink(name, output, missing), pixels, batch_size
        places = [np.arange(output.rows)[output.span(chunk)] for chunk in missing]
        order = np.concatenate([np.empty(0, np.int64), *places])
        self.rows, self.labels, self.seeds = (values[order] for values in inputs)
        self.others = torch.from_numpy(pixels.gather(np.arange(min(companions, pixels.rows))))

    def images(self) -> int:
        return len(self.rows)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, position: int) -> dict[str, Any]:
        part = slice(position * self.batch_size, (position + 1) * self.batch_size)
        return {
            "images": torch.from_numpy(self.pixels.gather(self.rows[part])),
            "labels": torch.from_numpy(self.labels[part]),
            "seeds": torch.from_numpy(self.seeds[part]),
            "others": self.others,
            "sinks": [self.sink],
        }


Outputs = Mapping[str, StoredArray | StoredRow]  # where the outputs of models are stored, by their names


class Images(Protocol):
    """Images by row, such as a stored array; [n, C, H, W] in units of 1/255."""

    @property
    def rows(self) -> int: ...

    def gather(self, rows: np.ndarray) -> np.ndarray: ...


class EvaluationBatches:
    """Batches of images whose outputs are not stored, over any number of arrays of images with the outputs of some
    models. Each batch is read once for all of its models."""

    def __init__(self, jobs: Sequence[tuple[Images, Outputs]], batch_size: int) -> None:
        self.work: list[tuple[Images, np.ndarray, list[Sink]]] = []
        self.sinks: list[Sink] = []
        for images, outputs in jobs:
            for missing, sinks in self.open(outputs):
                self.sinks += sinks
                rows = np.concatenate([np.arange(images.rows)[sinks[0].array.span(chunk)] for chunk in missing])
                for start in range(0, len(rows), batch_size):
                    self.work.append((images, rows[start : start + batch_size], sinks))

    @staticmethod
    def open(outputs: Outputs) -> Iterator[tuple[tuple[int, ...], list[Sink]]]:
        """The missing chunks, and sinks of the models that lack these."""
        lacking: dict[tuple[int, ...], list[Sink]] = {}
        for name, output in outputs.items():
            if missing := tuple(output.missing()):
                lacking.setdefault(missing, []).append(Sink(name, output, missing))
        return iter(lacking.items())

    def images(self) -> int:
        return sum(len(rows) * len(sinks) for _, rows, sinks in self.work)

    def __len__(self) -> int:
        return len(self.work)

    def __getitem__(self, position: int) -> dict[str, Any]:
        images, rows, sinks = self.work[position]
        return {"images": torch.from_numpy(images.gather(rows)), "sinks": sinks}
