"""Where the time goes: seconds of the device and of threads, by model and activity."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

Seconds = Counter[tuple[str, str]]
"""Seconds by model and activity. One after the other: load, gate, check, the computing of networks (`COMPUTE`), and
`other`, such as waiting for the store. Meanwhile threads read, copy and write."""

COMPUTE = ("clean", "attack", "transfer")
ALONE = ("load", "gate", "check", *COMPUTE)
IN_THREADS = ("read", "copy", "write")


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

    @contextmanager
    def whole(self, model: str) -> Iterator[None]:
        """Count the time of the body that no activity takes as `other`, for `model`."""
        started = time.perf_counter()
        yield
        passed: Any = time.perf_counter() - started - sum(self.of(ALONE))
        self.seconds[model, "other"] += max(0, passed)

    def of(self, activities: Collection[str]) -> Iterator[float]:
        """The seconds of some activities so far."""
        return (seconds for (_, activity), seconds in self.read().items() if activity in activities)

    def read(self) -> Seconds:
        """All seconds so far; waits for the device."""
        for key, first, last in self.events:
            last.synchronize()
            passed: Any = first.elapsed_time(last) / 1000
            self.seconds[key] += passed
        self.events.clear()
        return self.seconds
