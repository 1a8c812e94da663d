"""Where the time goes: seconds of the device and of threads, by model and activity."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

Seconds = Counter[tuple[str, str]]
"""Seconds by model and activity: load, check, read, copy, compute, write, and whole, the time that all took together.
Threads read and write while the device computes, so that the sum of activities may exceed the whole."""


class Clock:
    """Adds up seconds; several threads may use it. On CUDA the activities of the device are timed by its events, so
    that nothing waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.lock = device, Lock()
        self.seconds: Seconds = Counter()
        self.events: list[tuple[tuple[str, str], torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def here(self, model: str, activity: str) -> Iterator[None]:
        """Count the time that the body takes in this thread."""
        started = time.perf_counter()
        try:
            yield
        finally:
            passed: Any = time.perf_counter() - started  # a Counter of seconds
            with self.lock:
                self.seconds[model, activity] += passed

    @contextmanager
    def on_device(self, model: str, activity: str) -> Iterator[None]:
        """Count the time that the device takes for the work that the body gives it."""
        if self.device.type != "cuda":
            with self.here(model, activity):
                yield
            return
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        yield
        last.record()
        self.events.append(((model, activity), first, last))

    def read(self) -> Seconds:
        """All seconds so far; waits for the device."""
        for key, first, last in self.events:
            last.synchronize()
            passed: Any = first.elapsed_time(last) / 1000
            self.seconds[key] += passed
        self.events.clear()
        return self.seconds
