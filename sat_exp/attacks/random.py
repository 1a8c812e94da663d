"""Random numbers of images: the same on every device, whatever the batch.

Each number is computed from the seed of its image, a stream and its place alone, by the counter-based generator
Philox4x32-10 (Salmon et al., SC 2011, "Parallel random numbers: as easy as 1, 2, 3"). An attack that draws several
times gives each draw another stream.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
INCREMENTS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
WORD = 0xFFFFFFFF  # 32 bits, kept in int64 because few devices compute in uint32
AT_ONCE = 16  # images, so that the words of a large batch do not fill the device's memory


def image_seeds(seed: int, contents: Sequence[str]) -> np.ndarray:
    """The seed of each image, int64 [N], from the seed of a run and the SHA-256, in hex, of each image's content."""
    digests = (hashlib.sha256(f"{seed} {content}".encode()).digest() for content in contents)
    return np.array([int.from_bytes(digest[:8], "little", signed=True) for digest in digests], np.int64)


def words(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Uniform whole numbers from 0 to 2³² − 1, int64 [B, count], for seeds int64 [B]."""
    keys = [(seeds & WORD)[:, None], (seeds >> 32 & WORD)[:, None]]
    zero = torch.zeros(len(seeds), -(-count // 4), dtype=torch.int64, device=seeds.device)
    counters = [zero + torch.arange(zero.shape[1], device=seeds.device), zero, zero + stream, zero]
    return torch.stack(philox(counters, keys), dim=2).flatten(1)[:, :count]


def philox(counters: Sequence[Tensor], keys: Sequence[Tensor]) -> list[Tensor]:
    """Philox4x32-10 of four words of a counter and two of a key, all int64 below 2³²; four words."""
    first, second, third, fourth = counters
    for number in range(ROUNDS):
        one, other = ((key + number * step) & WORD for key, step in zip(keys, INCREMENTS, strict=True))
        left, right = MULTIPLIERS[0] * first, MULTIPLIERS[1] * third  # the bits of unsigned products
        first, second = (right >> 32 & WORD) ^ second ^ one, right & WORD
        third, fourth = (left >> 32 & WORD) ^ fourth ^ other, left & WORD
    return [first, second, third, fourth]


def integers(seeds: Tensor, low: int, high: int, shape: Sequence[int] = (), stream: int = 0) -> Tensor:
    """Uniform whole numbers from `low` to `high`, int64 [B, *shape]; their bias is below (high − low + 1)/2³²."""
    return _drawn(seeds, shape, lambda some, count: low + (words(some, stream, count) * (high - low + 1) >> 32))


def uniform(seeds: Tensor, shape: Sequence[int] = (), stream: int = 0) -> Tensor:
    """Uniform multiples of 2⁻²⁴ above 0 and up to 1, float32 [B, *shape]."""
    return _drawn(seeds, shape, lambda some, count: _fractions(words(some, stream, count)))


def normal(seeds: Tensor, shape: Sequence[int] = (), stream: int = 0) -> Tensor:
    """Standard normal numbers, float32 [B, *shape], by the transformation of Box and Muller (1958). Their last bits may
    differ between devices."""

    def draw(some: Tensor, count: int) -> Tensor:
        radius, angle = _fractions(words(some, stream, count + count % 2)).unflatten(1, (2, -1)).unbind(1)
        radius, angle = (-2 * radius.log()).sqrt(), 2 * math.pi * angle
        return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]

    return _drawn(seeds, shape, draw)


def _fractions(numbers: Tensor) -> Tensor:
    return ((numbers >> 8) + 1).to(torch.float32) * 2.0**-24


def _drawn(seeds: Tensor, shape: Sequence[int], draw: Callable[[Tensor, int], Tensor]) -> Tensor:
    """What `draw` returns, [b, count], for some seeds at a time, in one tensor [B, *shape]."""
    return torch.cat([draw(some, math.prod(shape)) for some in seeds.split(AT_ONCE)]).view(len(seeds), *shape)
