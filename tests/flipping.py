"""Flips of a single bit in a file."""

from collections.abc import Iterator

import numpy as np


def flips(content: bytes, count: int, kind: str) -> Iterator[bytes]:
    """`content` with another bit flipped each time; seeded by the kind of file."""
    rng = np.random.default_rng(list(kind.encode()))
    bits = 8 * len(content)
    for bit in rng.choice(bits, min(count, bits), replace=False):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bytes(changed)
