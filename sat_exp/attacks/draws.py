"""Random numbers of one image on the host, for transformations whose form is random, such as sizes and cuts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from sat_exp.attacks import random

AT_ONCE = 64  # numbers of one image, from one stream
NOISE = 64  # the first of the streams of tensors, after those of numbers


@dataclass
class Draws:
    """seed: of the image, int64 [1]. numbers: uniform above 0 and up to 1, taken in turn. stream: the next one for a
    tensor of random numbers."""

    seed: Tensor
    numbers: Iterator[float]
    stream: int

    @classmethod
    def of(cls, seeds: Tensor, stream: int) -> "list[Draws]":
        """Those of each image, with seeds int64 [B]. They depend on nothing but its seed and the streams from `stream`
        on."""
        rows, on_host = random.uniform(seeds.cpu(), (AT_ONCE,), stream).tolist(), seeds.cpu().split(1)
        numbers = [going_on(row, seed, stream) for row, seed in zip(rows, on_host, strict=True)]
        return [cls(seed, each, stream + NOISE) for seed, each in zip(seeds.split(1), numbers, strict=True)]

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self.numbers)

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return min(low + int((high - low + 1) * next(self.numbers)), high)

    def permutation(self, length: int) -> list[int]:
        return self.sample(length, length)

    def sample(self, length: int, most: int) -> list[int]:
        """At most `most` different whole numbers from 0 to length − 1, in random order."""
        left = list(range(length))
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(min(most, length))]

    def cuts(self, length: int, parts: int) -> list[int]:
        """The lengths of at most `parts` parts of `length`, each of 1 or more, cut at random places."""
        places = sorted(place + 1 for place in self.sample(length - 1, parts - 1))
        return [stop - start for start, stop in zip([0, *places], [*places, length], strict=True)]

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Numbers above 0 and up to 1, float32 of `shape`, on the device of the seeds."""
        return random.uniform(self.seed, shape, self.next_stream())[0]

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float32 of `shape`, on the device of the seeds."""
        return random.normal(self.seed, shape, self.next_stream())[0]

    def next_stream(self) -> int:
        self.stream += 1
        return self.stream - 1


def going_on(first: list[float], seed: Tensor, stream: int) -> Iterator[float]:
    """The first numbers of an image, then those of the streams that follow."""
    yield from first
    for use in count(1):
        yield from random.uniform(seed, (AT_ONCE,), stream + use)[0].tolist()


def each(function: Callable[..., Tensor], images: Tensor, *columns: Sequence[Any]) -> Tensor:
    """`function` of each image, [C, H, W], and of its value in each of `columns`, joined to [B, C, H, W]."""
    return torch.stack([function(*row) for row in zip(images, *columns, strict=True)])
