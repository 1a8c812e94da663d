"""How long a measurement takes on several workers: a simulation of the pieces of work that an engine is given.

The next free worker takes the next piece, in the order in which a measurement submits them. The attack on a model is a
chain: its clean images, then parts of the attack, then a check. The transfer begins when all chains have ended. A
worker loads a model unless it holds it from its last piece.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from more_itertools import chunked

from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.measurement.measurement import GRADIENT

START = 8.0
"""Seconds from the start of a worker to its first piece: Python, PyTorch, the configuration."""

BANDWIDTH = 500e6
"""Bytes that a worker reads from the store, or writes to it, in a second."""


@dataclass(frozen=True)
class Costs:
    """A model's costs in seconds: to load it, and for a forward pass and an attack step of an image. attacked: the
    number of its adversarial images."""

    name: str
    parameters: int
    load: float
    forward: float
    step: float
    attacked: float


@dataclass(frozen=True)
class Study:
    """A measurement of all pairs. images: their number. size: bytes of an image. batch: images of a chunk."""

    models: Sequence[Costs]
    images: int
    steps: int
    size: int
    batch: int

    def attack(self, model: Costs, engine: Engine) -> "Chain":
        """The clean images of a model, the parts of its attack, and their check, which reads all of its images."""
        chunks = -(-int(model.attacked) // self.batch)
        expected = GRADIENT * self.steps * self.batch * model.forward
        chunk = self.batch * max(self.steps * model.step, self.size / BANDWIDTH)
        parts = [len(part) * chunk for part in chunked(range(chunks), engine.share(expected, chunks))]
        check = model.attacked * self.size / BANDWIDTH
        return Chain(model, [[self.images * max(model.forward, self.size / BANDWIDTH)], parts, [check]])

    def transfer(self, target: Costs, engine: Engine) -> "Chain":
        """The predictions of a target for groups of sources."""
        most = max(model.attacked for model in self.models) * target.forward
        groups = chunked(self.models, engine.share(most, len(self.models)))
        each = max(target.forward, self.size / BANDWIDTH)
        return Chain(target, [[sum(source.attacked for source in group) * each for group in groups]])


@dataclass(frozen=True)
class Chain:
    """The work on a model: steps one after the other, each of pieces that may be done at the same time, in seconds."""

    model: Costs
    steps: Sequence[Sequence[float]]


@dataclass
class Workers:
    """Workers that are simulated. start: seconds before their first piece, or, where `fresh`, before each piece: a job
    of Slurm is a new process. idle: since when each free worker is free, and the model that it holds."""

    count: int
    start: float
    fresh: bool = False
    idle: deque[tuple[float, Costs | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.idle = deque([(0.0 if self.fresh else self.start, None)] * self.count)

    def do(self, chains: Sequence[Chain]) -> float:
        """Do all chains; the time at which the last piece ends, and all workers are free."""
        left = [deque(step for step in chain.steps if step) for chain in chains]
        ready = deque((place, seconds) for place, steps in enumerate(left) if steps for seconds in steps.popleft())
        open_ = [sum(place == number for place, _ in ready) for number in range(len(chains))]
        running: list[tuple[float, int]] = []
        now = max(since for since, _ in self.idle)
        while ready or running:
            while ready and self.idle:
                place, seconds = ready.popleft()
                since, held = self.idle.popleft()
                end = max(now, since) + self.before(chains[place].model, held) + seconds
                heapq.heappush(running, (end, place))
            now, place = heapq.heappop(running)
            self.idle.append((now, chains[place].model))
            open_[place] -= 1
            if not open_[place] and left[place]:
                step = left[place].popleft()
                ready.extend((place, seconds) for seconds in step)
                open_[place] = len(step)
        return now

    def before(self, model: Costs, held: Costs | None) -> float:
        """The seconds before a worker that holds a model begins a piece of another one."""
        if self.fresh:
            return self.start + model.load
        return model.load if held is not model else 0.0


def scaling(study: Study, engine: Engine, workers: int) -> pd.DataFrame:
    """The table `scaling`: the seconds on `workers` and on other numbers of workers, and their efficiency compared with
    one. A process of its own is compared with processes of this machine."""
    several = Processes() if isinstance(engine, Local) else engine
    counts = sorted({2, 4, 8, 32, workers} - {1})
    seconds = [seconds_on(1, study, engine), *(seconds_on(count, study, several) for count in counts)]
    table = pd.DataFrame({"workers": [1, *counts], "seconds": seconds})
    return table.assign(efficiency=seconds[0] / table["workers"] / table["seconds"])


def seconds_on(workers: int, study: Study, engine: Engine) -> float:
    """The seconds of a measurement. The engine `local` does one chain after the other, in a process that has started;
    a free worker of the others takes any piece."""
    largest_first = sorted(study.models, key=lambda model: -model.parameters)
    stages = [[way(model, engine) for model in largest_first] for way in (study.attack, study.transfer)]
    if isinstance(engine, Local):
        here = Workers(1, 0.0)
        return [here.do([chain]) for chains in stages for chain in chains][-1]
    simulated = Workers(workers, START, engine.fresh)
    return [simulated.do(chains) for chains in stages][-1]
