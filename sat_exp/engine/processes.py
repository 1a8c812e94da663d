"""Processes of this machine, one for each GPU, else for each core."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Annotated, Any

import torch
from loky import ProcessPoolExecutor, cpu_count
from loky.process_executor import BrokenProcessPool
from pydantic import Field

from sat_exp.engine import worker
from sat_exp.engine.engine import Engine, Piece
from sat_exp.errors import UserError
from sat_exp.progress import Advance

DEATHS = 8
"""The number of processes that may die of one piece of work, one after the other, without storing anything."""

IDLE = 60
"""Seconds after which a process without work ends, also where this program was killed."""


@dataclass
class Processes(Engine):
    """workers: the number of processes, null for one per GPU, or one per core where there is none. seconds: about how
    long a piece of work takes. A piece whose process dies is given to a new one, until DEATHS have stored nothing."""

    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    seconds: Annotated[float, Field(gt=0)] = 60

    def __enter__(self) -> "Processes":
        gpus, count = torch.cuda.device_count(), self.workers_here()
        self.every = [Slot(environment(number % gpus if gpus else None, count)) for number in range(count)]
        self.free: SimpleQueue[Slot] = SimpleQueue()
        for slot in self.every:
            self.free.put(slot)
        self.threads = ThreadPoolExecutor(count)
        return self

    def workers_here(self) -> int:
        return self.workers or torch.cuda.device_count() or int(cpu_count())

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        return self.threads.submit(self.done, piece, advance)

    def done(self, piece: Piece, advance: Advance) -> Any:
        """The result of a piece from the next free process."""
        slot = self.free.get()
        try:
            result = slot.result(piece)
        finally:
            self.free.put(slot)
        advance(piece.images)
        return result

    def __exit__(self, *error: object) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        for slot in self.every:
            slot.end()
        self.threads.shutdown()


@dataclass
class Slot:
    """The place of one process at a time, with its environment."""

    environment: dict[str, str]
    process: ProcessPoolExecutor | None = None
    ended: bool = False

    def result(self, piece: Piece) -> Any:
        """The result of a piece, which is begun again where the process dies; UserError where it dies too often."""
        deaths, stored = 0, None
        while deaths < DEATHS:
            if self.process is None:
                self.process = ProcessPoolExecutor(1, timeout=IDLE, initializer=worker.prepare, env=self.environment)
            if self.ended:
                self.end()
            try:
                return self.process.submit(worker.begin, piece.work).result()
            except BrokenProcessPool:
                self.process = None
                if self.ended:
                    raise
                before, stored = stored, piece.stored()
                deaths = deaths + 1 if stored == before else 1
        raise UserError(f"{piece.name}: its process died {DEATHS} times; the machine may have too little memory")

    def end(self) -> None:
        """End the process at once."""
        self.ended = True
        if self.process is not None:
            self.process.shutdown(wait=False, kill_workers=True)


def environment(gpu: int | None, processes: int) -> dict[str, str]:
    """The environment of a process: the number of its GPU, or its share of the cores."""
    if gpu is not None:
        names = os.environ.get("CUDA_VISIBLE_DEVICES")
        return {"CUDA_VISIBLE_DEVICES": names.split(",")[gpu] if names else str(gpu)}
    share = str(max(1, cpu_count() // processes))
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), share)
