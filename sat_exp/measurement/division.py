"""How the work on a model is divided into pieces of about the seconds that an engine wants."""

from collections.abc import Sequence
from typing import TypeVar

from more_itertools import chunked

from sat_exp.engine import Engine

GRADIENT = 3
"""The time of a step of an attack, forward and backward, in forward passes."""

Source = TypeVar("Source")


def attack_parts(engine: Engine, chunks: int, length: int, steps: int, image_seconds: float) -> list[range]:
    """The chunks of adversarial images, in parts. length: images of a chunk. image_seconds: of a forward pass."""
    share = engine.share(GRADIENT * steps * length * image_seconds, chunks)
    return [range(start, min(start + share, chunks)) for start in range(0, chunks, share)]


def source_groups(engine: Engine, sources: Sequence[Source], most: int, image_seconds: float) -> list[list[Source]]:
    """The sources of a target, in groups. most: images, of one source. image_seconds: of a forward pass."""
    return list(chunked(sources, engine.share(most * image_seconds, len(sources))))
