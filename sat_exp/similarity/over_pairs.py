"""Comparing all pairs of many models whose parts do not fit into memory together."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

Pair = tuple[str, str]
Value = TypeVar("Value")

HELD = 2**29
"""Bytes of parts that stay in memory."""


def compared(
    pairs: Sequence[Pair], part: Callable[[str], Any], value: Callable[[Pair, Any, Any], Value], most: int = HELD
) -> Iterator[tuple[Pair, Value]]:
    """Each pair with its `value(pair, one, other)`, in another order. one, other: what `part(model)` returns for the
    first and the second model.

    A block of first models, whose parts have `most` bytes, stays in memory, and the other models pass by, one at a
    time. So each part is made once if all fit, else up to (B + 1)/2 times on average for B blocks; and there are never
    more than `most` bytes and two parts.
    """
    firsts, seconds = deque(dict.fromkeys(first for first, _ in pairs)), dict.fromkeys(second for _, second in pairs)
    while firsts:
        held: dict[str, Any] = {}
        while firsts and sum(map(size, held.values())) < most:
            model = firsts.popleft()
            held[model] = part(model)
        for second in seconds:
            now = [pair for pair in pairs if pair[1] == second and pair[0] in held]
            if now:
                other = held[second] if second in held else part(second)
                yield from [(pair, value(pair, held[pair[0]], other)) for pair in now]
                del other


def size(part: Any) -> int:
    """The bytes of the arrays in nested tuples and lists."""
    if isinstance(part, (tuple, list)):
        return sum(map(size, part))
    return part.nbytes if isinstance(part, np.ndarray) else 0
