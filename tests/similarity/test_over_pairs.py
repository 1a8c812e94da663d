"""All pairs have their value whatever fits into memory, and no more is in memory than stated."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_exp.similarity.over_pairs import compared, size

NAMES = "abcdefgh"
BYTES = 80


class Watched(np.ndarray):
    """An array that counts how many of its kind are alive."""

    alive = 0

    def __del__(self):
        if self.base is None:
            Watched.alive -= 1


def made(model):
    part = Watched((10,), np.float64)
    part[:] = NAMES.index(model)
    Watched.alive += 1
    return part


def run(pairs, most):
    """The values, how often each part was made, and the most parts that were alive."""
    prepared, peak = Counter(), [0]
    before = Watched.alive

    def part(model):
        prepared[model] += 1
        found = made(model)
        peak[0] = max(peak[0], Watched.alive - before)
        return found

    def value(pair, one, other):
        return pair, int(one[0]), int(other[0])

    return dict(compared(pairs, part, value, most)), prepared, peak[0]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), unique=True), st.integers(1, 9 * BYTES))
def test_each_pair_is_compared_once_with_its_own_parts_in_bounded_memory(pairs, most):
    values, prepared, peak = run(pairs, most)
    assert values == {(a, b): ((a, b), NAMES.index(a), NAMES.index(b)) for a, b in pairs}
    assert set(prepared) == {model for pair in pairs for model in pair}
    assert peak * BYTES <= most + 2 * BYTES
    if most > len(NAMES) * BYTES:
        assert set(prepared.values()) <= {1}


@pytest.mark.parametrize(("fitting", "expected"), [(8, 8), (4, 12), (2, 20), (1, 35)])
def test_parts_are_made_once_if_all_fit_and_else_once_per_block_and_later_model(fitting, expected):
    _, prepared, peak = run(list(combinations(NAMES, 2)), fitting * BYTES)
    assert prepared.total() == expected
    assert peak <= fitting + 1


def test_the_bytes_of_nested_arrays_are_counted():
    array = np.zeros(5)
    assert size((array, [array, (array, "text", 3)], None)) == 120
    assert size(array.astype(np.float32)) == 20
