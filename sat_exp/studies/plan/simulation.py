"""How long a measurement takes on several workers: a simulation of the pieces of work that an engine is given.

The next free worker takes the next piece, in the order in which a measurement submits them. The attack on a model is a
chain: its clean images, then parts of the attack, then a check. The transfer begins when all chains have ended. A
worker loads a model unless it holds it from its last piece.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.measurement.division import attack_parts, source_groups

START = 8.0
"""Seconds from the start of a worker to its first piece: Python, PyTorch, the configuration."""

BANDWIDTH = 500e6
"""Bytes that a worker is assumed to read from the store in a second, while it computes; it waits for them only if it is
faster."""

CHECKED = 40e6
"""Bytes of adversarial images that a worker checks in a second, on one core."""

MOST_CHUNKS = 1000
"""A model with more chunks of adversarial images is simulated with larger chunks, which keeps plans quick."""


@dataclass(frozen=True)
class Costs:
    """A model's costs in seconds: to load it, and for a forward pass and an attack step of an image. attacked: the
    number of its adversarial images."""

    name: str
    parameters: int
    load: float
    forward: float
    step: float
    attacked: int


@dataclass(frozen=True)
class Part:
    """A piece of work that takes some seconds. model: is loaded for it; None where no model is needed."""

    name: str
    seconds: float
    model: Costs | None = None


Chain = Sequence[Sequence[Part]]
"""The work on a model: steps one after the other, each of parts that may be done at the same time."""


@dataclass(frozen=True)
class Matrix:
    """A measurement of all pairs. images: their number. size: bytes of an image. batch: images of a chunk."""

    models: Sequence[Costs]
    images: int
    steps: int
    size: int
    batch: int

    def image_seconds(self, model: Costs) -> float:
        """The seconds of a forward pass of an image, or of reading the image where that takes longer."""
        return max(model.forward, self.size / BANDWIDTH)

    def attack(self, model: Costs, engine: Engine) -> Chain:
        """The clean images of a model, the parts of its attack, and their check."""
        clean = Part(f"{model.name}: clean images", self.images * self.image_seconds(model), model)
        each = max(self.steps * model.step, self.size / BANDWIDTH)
        parts = []
        batch = max(self.batch, model.attacked // MOST_CHUNKS)
        for part in attack_parts(engine, -(-model.attacked // batch), batch, self.steps, self.image_seconds(model)):
            first, stop = part.start * batch, min(part.stop * batch, model.attacked)
            name = f"{model.name}: attack on images {first} to {stop - 1}"
            parts.append(Part(name, (stop - first) * each, model))
        seconds = model.attacked * self.size / CHECKED
        return [[clean], parts, [Part(f"{model.name}: check of its adversarial images", seconds)]]

    def transfer(self, target: Costs, engine: Engine) -> Chain:
        """The predictions of a target for groups of sources."""
        most, each = max(model.attacked for model in self.models), self.image_seconds(target)
        groups = source_groups(engine, self.models, most, each)
        return [
            [
                Part(
                    f"{target.name}: predictions for {', '.join(source.name for source in group)}",
                    sum(source.attacked for source in group) * each,
                    target,
                )
                for group in groups
            ]
        ]

    def stages(self, engine: Engine) -> list[list[Chain]]:
        """The chains of the attack and those of the transfer, in the order in which a measurement begins them."""
        largest_first = sorted(self.models, key=lambda model: -model.parameters)
        slowest_first = sorted(self.models, key=lambda model: -self.image_seconds(model))
        attack = [self.attack(model, engine) for model in largest_first]
        return [attack, [self.transfer(model, engine) for model in slowest_first]]


@dataclass
class Worker:
    """held: the model that it has loaded. new: it has not started yet."""

    held: Costs | None = None
    new: bool = True


class Workers:
    """Workers that do chains, with the seconds that they spend in all. start: before a worker's first piece, or before
    each piece where a new process does each (`fresh`).

    ended: when the last piece has ended. starting, loading, working: the seconds of all workers.
    """

    def __init__(self, count: int, start: float, *, fresh: bool = False) -> None:
        self.idle = deque(Worker() for _ in range(count))
        self.start, self.fresh = start, fresh
        self.ended = self.starting = self.loading = self.working = 0.0

    def do(self, chains: Sequence[Chain]) -> None:
        """Do all chains, beginning when all workers are free."""
        left = [deque(step for step in chain if step) for chain in chains]
        ready: deque[tuple[int, Part]] = deque()
        open_parts = [0] * len(chains)

        def submit(place: int) -> None:
            if left[place]:
                step = left[place].popleft()
                ready.extend((place, part) for part in step)
                open_parts[place] = len(step)

        for place in range(len(chains)):
            submit(place)
        running: list[tuple[float, int, int, Worker]] = []
        turn = 0
        while ready or running:
            while ready and self.idle:
                (place, part), worker = ready.popleft(), self.idle.popleft()
                turn += 1
                heapq.heappush(running, (self.ended + self.seconds(part, worker), turn, place, worker))
            self.ended, _, place, worker = heapq.heappop(running)
            self.idle.append(worker)
            open_parts[place] -= 1
            if not open_parts[place]:
                submit(place)

    @property
    def waiting(self) -> float:
        """The seconds in which workers have nothing to do."""
        return len(self.idle) * self.ended - self.starting - self.loading - self.working

    def seconds(self, part: Part, worker: Worker) -> float:
        """The seconds of a part on a worker, which may have to start and to load the model."""
        if self.fresh:
            worker.new, worker.held = True, None
        starting = self.start if worker.new else 0.0
        loading = part.model.load if part.model is not None and part.model is not worker.held else 0.0
        worker.new, worker.held = False, part.model or worker.held
        self.starting += starting
        self.loading += loading
        self.working += part.seconds
        return starting + loading + part.seconds


def measured_by(engine: Engine, workers: int, matrix: Matrix) -> Workers:
    """The workers of an engine after a measurement. The engine `local` does one chain after the other in this process,
    which has started."""
    if isinstance(engine, Local):
        here = Workers(1, 0.0)
        for chains in matrix.stages(engine):
            for chain in chains:
                here.do([chain])
        return here
    simulated = Workers(workers, START, fresh=engine.fresh)
    for chains in matrix.stages(engine):
        simulated.do(chains)
    return simulated


def scaling(matrix: Matrix, engine: Engine, counts: Sequence[int]) -> pd.DataFrame:
    """The table `scaling`: the seconds on some numbers of workers. The engine `local` has one worker; others are then
    processes of this machine. efficiency: the seconds in one process, divided by those of all workers."""
    alone = measured_by(Local(), 1, matrix).ended
    rows = []
    for count in counts:
        several = Processes() if isinstance(engine, Local) and count > 1 else engine
        seconds = measured_by(several, count, matrix).ended
        rows.append((count, seconds, alone / (count * seconds)))
    return pd.DataFrame(rows, columns=["workers", "seconds", "efficiency"])
