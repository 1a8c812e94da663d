"""How long a measurement takes on several workers: a simulation of the pieces of work that an engine is given.

The next free worker takes the next piece, in the order in which a measurement submits them. The attack on a model is a
chain: its clean images, then parts of the attack, then a check. The transfer begins when all chains have ended. With
adversarial=drop, the clean images of all models come first, and attack and transfer follow for each block of sources. A
worker keeps the models of its last pieces, as many as its memory holds.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.measurement.division import attack_parts, source_blocks, source_groups, target_groups

START = 8.0
"""Seconds from the start of a worker to its first piece: Python, PyTorch, the configuration."""

BANDWIDTH = 500e6
"""Bytes that a worker is assumed to read from the store in a second, while it computes; it waits for them only if it is
faster."""

CHECKED = 120e6
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
    """A piece of work that takes some seconds. models: are loaded for it. light: one process does it in a thread."""

    name: str
    seconds: float
    models: Sequence[Costs] = ()
    light: bool = False


Chain = Sequence[Sequence[Part]]
"""The work on a model: steps one after the other, each of parts that may be done at the same time."""


@dataclass(frozen=True)
class Matrix:
    """A measurement of all pairs. images: their number. size: bytes of an image. batch: images of a chunk. room: bytes
    for the models that a process keeps. width: bytes of a weight. drop: whether adversarial images are dropped."""

    models: Sequence[Costs]
    images: int
    steps: int
    size: int
    batch: int
    room: float = math.inf
    width: int = 4
    drop: bool = False

    def weights(self, model: Costs) -> int:
        """Its bytes in memory."""
        return self.width * model.parameters

    def image_seconds(self, model: Costs) -> float:
        """The seconds of a forward pass of an image, or of reading the image where that takes longer."""
        return max(model.forward, self.size / BANDWIDTH)

    def attack(self, model: Costs, engine: Engine) -> Chain:
        """The clean images of a model, the parts of its attack, and their check."""
        clean = Part(f"{model.name}: clean images", self.images * self.image_seconds(model), [model])
        each = max(self.steps * model.step, self.size / BANDWIDTH)
        parts = []
        batch = max(self.batch, model.attacked // MOST_CHUNKS)
        for part in attack_parts(engine, -(-model.attacked // batch), batch, self.steps, self.image_seconds(model)):
            first, stop = part.start * batch, min(part.stop * batch, model.attacked)
            name = f"{model.name}: attack on images {first} to {stop - 1}"
            parts.append(Part(name, (stop - first) * each, [model]))
        seconds = model.attacked * self.size / CHECKED
        return [[clean], parts, [Part(f"{model.name}: check of its adversarial images", seconds, light=True)]]

    def transfer(self, targets: Sequence[Costs], sources: Sequence[Costs], engine: Engine) -> Chain:
        """The predictions of targets that are loaded together, for groups of sources."""
        most = max(source.attacked for source in sources)
        each = sum(self.image_seconds(target) for target in targets)
        groups = source_groups(engine, sources, most, each)
        names = ", ".join(target.name for target in targets)
        return [
            [
                Part(
                    f"{names}: predictions for {', '.join(source.name for source in group)}",
                    sum(source.attacked for source in group) * each,
                    targets,
                )
                for group in groups
            ]
        ]

    def targets(self, engine: Engine) -> list[list[Costs]]:
        """The targets in groups that are loaded together, in the order in which a measurement begins them."""
        slowest_first = sorted(self.models, key=lambda model: -self.image_seconds(model))
        return target_groups(engine, slowest_first, self.weights, self.room)

    def blocks(self, engine: Engine) -> list[list[Costs]]:
        """The sources whose adversarial images are stored at the same time, the largest first."""
        largest_first = sorted(self.models, key=lambda model: -model.parameters)
        return source_blocks(engine, largest_first, len(self.targets(engine))) if self.drop else [largest_first]

    def stages(self, engine: Engine) -> list[list[Chain]]:
        """The chains of the attack and those of the transfer, in the order in which a measurement begins them; where
        adversarial images are dropped, first those of the clean images, then both for each block of sources."""
        targets, blocks = self.targets(engine), self.blocks(engine)
        stages = [[self.attack(model, engine)[:1] for block in blocks for model in block]] if self.drop else []
        for block in blocks:
            stages.append([self.attack(model, engine)[self.drop :] for model in block])
            stages.append([self.transfer(group, block if self.drop else self.models, engine) for group in targets])
        return stages


@dataclass
class Worker:
    """held: the models that it has loaded, the last used at the end. new: it has not started yet."""

    held: list[Costs] = field(default_factory=list)
    new: bool = True


class Workers:
    """Workers that do chains, with the seconds that they spend in all. start: before a worker's first piece, or before
    each piece where a new process does each (`fresh`). threaded: light parts take no time. weights, room: see `Matrix`.

    ended: when the last piece has ended. starting, loading, working: the seconds of all workers.
    """

    def __init__(
        self,
        count: int,
        start: float,
        *,
        fresh: bool = False,
        threaded: bool = False,
        weights: Callable[[Costs], float] = lambda model: 0,
        room: float = math.inf,
    ) -> None:
        self.idle = deque(Worker() for _ in range(count))
        self.start, self.fresh, self.threaded, self.weights, self.room = start, fresh, threaded, weights, room
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
        """The seconds of a part on a worker, which may have to start and to load models."""
        if part.light and self.threaded:
            return 0.0
        if self.fresh:
            worker.new, worker.held = True, []
        starting = self.start if worker.new else 0.0
        loading = sum(model.load for model in part.models if model not in worker.held)
        worker.new = False
        worker.held = [*(model for model in worker.held if model not in part.models), *part.models]
        while len(worker.held) > max(1, len(part.models)) and sum(map(self.weights, worker.held)) > self.room:
            worker.held.pop(0)
        self.starting += starting
        self.loading += loading
        self.working += part.seconds
        return starting + loading + part.seconds


def measured_by(engine: Engine, workers: int, matrix: Matrix) -> Workers:
    """The workers of an engine after a measurement. The engine `local` does one chain after the other in this process,
    which has started."""
    if isinstance(engine, Local):
        here = Workers(1, 0.0, threaded=not matrix.drop, weights=matrix.weights, room=matrix.room)
        for chains in matrix.stages(engine):
            for chain in chains:
                here.do([chain])
        return here
    simulated = Workers(workers, START, fresh=engine.fresh, weights=matrix.weights, room=matrix.room)
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
