"""The noise control: its perturbation has the size of the attack's and does not depend on the model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.attacks import Noise
from sat_exp.errors import UserError


def never(pixels):
    raise AssertionError("the classifier was called")


def noisy(images, epsilon, seed=0):
    seeds = torch.arange(len(images)) + 1000 * seed
    return Noise(epsilon)(never, images, torch.zeros(len(images), dtype=torch.int64), seeds)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), epsilon=st.integers(0, 255))
def test_every_value_moves_by_epsilon_or_to_the_end_of_the_scale(seed, epsilon):
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, 2, 5, 4), np.uint8))
    result = noisy(images, epsilon, seed)
    assert (result.dtype, result.shape) == (torch.uint8, images.shape)
    clean, moved = images.int(), result.int()
    up, down = (clean + epsilon).clamp(max=255), (clean - epsilon).clamp(min=0)
    assert ((moved == up) | (moved == down)).all()


def test_signs_are_fair_and_independent():
    result = noisy(torch.full((4, 3, 64, 64), 128, dtype=torch.uint8), 8)
    signs = (result.int() - 128).flatten(1).double() / 8
    assert signs.abs().eq(1).all()
    assert signs.mean().abs() < 4 / signs.numel() ** 0.5
    assert torch.corrcoef(signs).fill_diagonal_(0).abs().max() < 4 / signs.shape[1] ** 0.5


def test_noise_belongs_to_the_image():
    images = torch.full((4, 1, 8, 8), 100, dtype=torch.uint8)
    assert torch.equal(noisy(images, 8)[:2], noisy(images[:2], 8))


@pytest.mark.parametrize("epsilon", [-1, 256, 0.5, True])
def test_other_epsilons_are_refused(epsilon):
    with pytest.raises(UserError, match=r"attack\.epsilon"):
        Noise(epsilon)
