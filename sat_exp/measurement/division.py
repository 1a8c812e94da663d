"""How the work on a model is divided into pieces of about the seconds that an engine wants."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from loky import cpu_count
from more_itertools import chunked

from sat_exp.engine import Engine
from sat_exp.modules.hardware import Hardware

GRADIENT = 3
"""The time of a step of an attack, forward and backward, in forward passes."""

ROOM = 1 / 3
"""The share of the device's memory for models that stay loaded; the rest is for what they compute."""

BLOCKS = 8
"""The blocks of sources where adversarial images are dropped and not all targets stay loaded."""

Model = TypeVar("Model")
Source = TypeVar("Source")


def room(hardware: Hardware, engine: Engine) -> float:
    """Bytes for the models that a process keeps loaded: its part of a share of the device's memory."""
    processes = 1 if hardware.device.type == "cuda" else engine.workers_here() or cpu_count()
    return ROOM * hardware.memory / processes


def attack_parts(engine: Engine, chunks: int, length: int, steps: int, image_seconds: float) -> list[range]:
    """The chunks of adversarial images, in parts. length: images of a chunk. image_seconds: of a forward pass."""
    share = engine.share(GRADIENT * steps * length * image_seconds, chunks)
    return [range(start, min(start + share, chunks)) for start in range(0, chunks, share)]


def source_groups(engine: Engine, sources: Sequence[Source], most: int, image_seconds: float) -> list[list[Source]]:
    """The sources of some targets, in groups; single ones where one process does all, which others may help. most:
    images, of one source. image_seconds: of a forward pass of all targets."""
    if engine.resident:
        return [[source] for source in sources]
    return list(chunked(sources, engine.share(most * image_seconds, len(sources))))


def target_groups(
    engine: Engine, targets: Sequence[Model], size: Callable[[Model], float], room: float
) -> list[list[Model]]:
    """The targets in groups that are loaded together, so that the images of a source are read once for each group: as
    many as fit into `room` bytes where one process does all work, else one. size: bytes of a model."""
    if not engine.resident:
        return [[target] for target in targets]
    groups: list[list[Model]] = []
    left = 0.0
    for target in targets:
        if not groups or size(target) > left:
            groups.append([])
            left = room
        groups[-1].append(target)
        left -= size(target)
    return groups


def source_blocks(engine: Engine, sources: Sequence[Source], groups: int) -> list[list[Source]]:
    """The sources in blocks whose adversarial images are stored at the same time, where they are dropped afterwards:
    single ones where all targets stay loaded; else an eighth of all, because each block loads the targets again.
    groups: of targets that are loaded together."""
    if not sources:
        return []
    alone = engine.resident and groups == 1
    return list(chunked(sources, 1 if alone else -(-len(sources) // BLOCKS)))
