"""Random numbers of images against published values of Philox, and in distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sat_exp.attacks import random

FULL = 0xFFFFFFFF
SEEDS = torch.from_numpy(random.image_seeds(0, [str(number) for number in range(64)]))


def word(number: int) -> torch.Tensor:
    return torch.tensor([[number]])


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([FULL] * 4, [FULL] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers_of_philox(counter, key, expected):
    """The known answers that Random123, the library of the paper's authors, is tested with."""
    found = random.philox([word(part) for part in counter], [word(part) for part in key])
    assert [int(part) for part in found] == expected


def philox_in_python(seed: int, stream: int, place: int) -> int:
    """The word at `place`, by the paper's formula on Python's unbounded integers."""
    counter, key = [place // 4, 0, stream, 0], [seed & FULL, seed >> 32 & FULL]
    for _ in range(10):
        left, right = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [right >> 32 ^ counter[1] ^ key[0], right & FULL, left >> 32 ^ counter[3] ^ key[1], left & FULL]
        key = [(key[0] + 0x9E3779B9) & FULL, (key[1] + 0xBB67AE85) & FULL]
    return counter[place % 4]


@given(seed=st.integers(-(2**63), 2**63 - 1), stream=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_words_are_philox_of_place_stream_and_seed(seed, stream, count):
    found = random.words(torch.tensor([seed]), stream, count)
    assert found.tolist() == [[philox_in_python(seed, stream, place) for place in range(count)]]


@pytest.mark.parametrize(
    "draw", [random.normal, random.uniform, lambda *given: random.integers(given[0], -8, 8, given[1])]
)
def test_numbers_of_an_image_depend_on_its_seed_alone(draw):
    together = draw(SEEDS, (3, 5, 5))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draw(SEEDS[order], (3, 5, 5)), together[order])
    assert torch.equal(draw(SEEDS[5:6], (3, 5, 5))[0], together[5])
    assert together.flatten(1).unique(dim=0).shape[0] == 64


def test_streams_and_runs_differ():
    first, second = (random.normal(SEEDS, (100,), stream) for stream in (0, 1))
    assert abs(float((first * second).mean())) < 0.05
    others = random.image_seeds(1, [str(number) for number in range(64)])
    assert not set(others) & set(SEEDS.tolist())


@pytest.mark.parametrize(("low", "high"), [(-8, 8), (0, 1), (-255, 255), (1, 9)])
def test_integers_are_uniform_and_reach_both_ends(low, high):
    numbers = random.integers(SEEDS, low, high, (2000,))
    counts = np.bincount(numbers.flatten() - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1
    assert stats.chisquare(counts).pvalue > 0.001


def test_normal_and_uniform_numbers_have_their_distributions():
    assert stats.kstest(random.normal(SEEDS, (501,)).flatten(), "norm").pvalue > 0.001
    drawn = random.uniform(SEEDS, (501,))
    assert stats.kstest(drawn.flatten(), "uniform").pvalue > 0.001
    assert drawn.min() > 0
    assert drawn.max() <= 1


def test_neighbouring_pixels_are_independent():
    drawn = random.normal(SEEDS, (64, 64))
    for one, other in [(drawn[:, 1:], drawn[:, :-1]), (drawn[:, :, 1:], drawn[:, :, :-1]), (drawn[1:], drawn[:-1])]:
        assert stats.pearsonr(one.flatten(), other.flatten()).pvalue > 0.001
