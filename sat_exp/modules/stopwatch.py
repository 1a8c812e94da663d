"""Measurement of a network's speed and memory, forward and in a step of an attack."""

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader

from sat_exp import models
from sat_exp.attacks import PGD
from sat_exp.modules.hardware import Hardware

RATES = ["forward_images_per_second", "attack_step_images_per_second"]
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
ROUNDS_SECONDS = 3.0
"""A round is one forward batch and one attack step. Rounds end after `LEAST_ROUNDS` and this time, or `MOST_ROUNDS`."""
BATCH_SECONDS = 2.0
"""The batch is doubled, up to hardware.batch_size, while the next attack step is expected to take no longer."""


def measure(config: DictConfig, hardware: Hardware, canvas: int) -> dict[str, Any]:
    """The throughput of one model with random weights, as columns of a table of throughput. canvas: side in pixels."""
    untrained: Any = OmegaConf.merge(config, {"pretrained": False, "checkpoint": None})
    started = time.perf_counter()
    model = models.load(untrained)
    seconds = time.perf_counter() - started
    shape = (len(models.preprocessing(untrained).mean), canvas, canvas)
    stopwatch = Stopwatch(model.classifier, shape, hardware.batch_size)
    if hardware.channels_last:
        stopwatch.to(memory_format=torch.channels_last)
    trainer = hardware.trainer(inference_mode=False, enable_progress_bar=False)
    trainer.predict(stopwatch, DataLoader(range(1), batch_size=None), return_predictions=False)  # type: ignore[arg-type]
    facts = {"load_seconds": seconds, "parameters": model.parameters, "torch": torch.__version__}
    return facts | stopwatch.measured


class Stopwatch(LightningModule):
    """Times a classifier inside Lightning's predict loop, so that device and precision are those of a real run.
    measured: the rates, the peak memory and the batch size, as columns of a table."""

    measured: dict[str, Any]

    def __init__(self, classifier: models.Classifier, shape: tuple[int, int, int], batch_size: int) -> None:
        super().__init__()
        self.classifier, self.shape, self.batch_size = classifier, shape, batch_size
        self.step = PGD(epsilon=8, step_size=1, steps=1, random_start=False)

    def predict_step(self, batch: Any, index: int) -> Tensor:
        autograd_bytes = self.autograd_bytes(self.images(1))
        size, seconds = self.largest_batch()
        images = self.images(size)
        with peak_growth(self.device) as growth:
            attack = [seconds, self.seconds(self.attack, images)]
        forward = [self.seconds(self.forward, images)]
        latest = time.perf_counter() + ROUNDS_SECONDS
        while len(forward) < LEAST_ROUNDS or (len(forward) < MOST_ROUNDS and time.perf_counter() < latest):
            forward.append(self.seconds(self.forward, images))
            if len(attack) < len(forward):
                attack.append(self.seconds(self.attack, images))
        weights = sum(tensor.nbytes for tensor in [*self.classifier.parameters(), *self.classifier.buffers()])
        grown = growth[0] if self.device.type == "cuda" else max(growth[0], size * autograd_bytes)
        rates = [size / statistics.median(times) for times in (forward, attack)]
        self.measured = dict(zip(RATES, rates, strict=True))
        self.measured |= {"peak_memory_bytes": weights + grown, "batch_size": size}
        return torch.tensor(rates)

    def largest_batch(self) -> tuple[int, float]:
        """The size of the batches to time, and the seconds of one attack step on such a batch."""
        size, seconds = 1, self.seconds(self.attack, self.images(1))
        while size < self.batch_size and 2 * seconds < BATCH_SECONDS:
            larger = min(2 * size, self.batch_size)
            try:
                seconds = self.seconds(self.attack, self.images(larger))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
            size = larger
        return size, seconds

    def images(self, size: int) -> Tensor:
        return torch.randint(0, 256, (size, *self.shape), dtype=torch.uint8, device=self.device)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images.float() / 255).float().argmax(dim=1)

    def attack(self, images: Tensor) -> Tensor:
        return self.step(self.classifier, images, torch.zeros(len(images), dtype=torch.int64, device=self.device), [])

    def seconds(self, work: Callable[[Tensor], Tensor], images: Tensor) -> float:
        wait = torch.accelerator.synchronize if self.device.type != "cpu" else lambda: None
        wait()
        started = time.perf_counter()
        work(images)
        wait()
        return time.perf_counter() - started

    def autograd_bytes(self, images: Tensor) -> int:
        """Bytes that autograd keeps between the forward and the backward pass of a step, without weights."""
        weights = {tensor.untyped_storage().data_ptr() for tensor in self.classifier.parameters()}
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self.attack(images)
        return sum(sizes.values())


@contextmanager
def peak_growth(device: torch.device) -> Iterator[list[int]]:
    """A list that holds one number after the body: the peak growth of memory in bytes, allocated on CUDA, resident on
    Linux, 0 elsewhere."""
    growth: list[int] = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield growth
        growth.append(torch.cuda.max_memory_allocated(device) - before)
    else:
        before = resident("VmRSS", reset=True)
        yield growth
        growth.append(resident("VmHWM") - before if before else 0)


def resident(quantity: str, *, reset: bool = False) -> int:
    """Bytes of this process on Linux, 0 elsewhere: VmRSS, now, or VmHWM, at its peak. reset: first free unused memory
    and reset the peak."""
    try:
        if reset:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except (OSError, AttributeError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(quantity)), 0)
