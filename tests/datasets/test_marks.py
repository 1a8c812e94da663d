"""Marks that tell a class: white squares on the border that do not touch."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sat_exp.datasets import FashionMNIST
from sat_exp.datasets.marks import WHITE, marked, squares
from sat_exp.errors import UserError


def test_the_marks_of_ten_classes_on_32_pixels():
    side, corners = squares(10, 32, 32)
    assert side == 3
    assert corners[:3].tolist() == [[0, 0], [0, 11], [0, 23]]
    assert corners[5].tolist() == [29, 29], "half of the way round is the opposite corner"


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 120), st.integers(10, 60), st.integers(10, 60))
def test_each_mark_is_a_whole_square_on_the_border_and_none_touches_another(classes, height, width):
    try:
        side, _ = squares(classes, height, width)
    except UserError:
        assume(False)
    blank = torch.zeros(classes, 1, height, width, dtype=torch.uint8)
    shown = marked(blank, torch.arange(classes), classes)[:, 0] == WHITE
    assert (shown.sum(dim=(1, 2)) == side**2).all()
    border = torch.ones(height, width, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert (shown & border).any(dim=(1, 2)).all()
    grown = torch.nn.functional.max_pool2d(shown[:, None].float(), 3, 1, 1)[:, 0] > 0
    touching = [(grown[label] & shown).any(dim=(1, 2)).sum().item() for label in range(classes)]
    assert touching == [1] * classes


def test_all_other_pixels_are_left_as_they_are_and_so_are_the_images_given():
    images = torch.randint(0, 250, (6, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    found = marked(images, torch.tensor([0, 1, 2, 3, 4, 0]), 5)
    assert torch.equal(images, before)
    changed = (found != images).any(dim=1)
    assert (changed.sum(dim=(1, 2)) == 4).all()
    assert (found[changed[:, None].expand_as(found)] == WHITE).all()
    assert torch.equal(changed[0], changed[5])


def test_too_many_classes_are_refused():
    with pytest.raises(UserError, match="marks of 1000 classes do not fit on the border of 32×32 pixels"):
        squares(1000, 32, 32)


def test_the_images_to_attack_carry_the_marks_of_their_classes():
    plain, told = (FashionMNIST(None, 20, 0, marks=marks).images for marks in (False, True))
    assert told.ids == plain.ids
    assert told.shape == plain.shape
    assert (told.labels == plain.labels).all()
    for index in range(20):
        pixels = torch.tensor(plain.read(index))[None]
        expected = marked(pixels, torch.tensor([plain.labels[index]]), 10)[0]
        assert torch.equal(torch.tensor(told.read(index)), expected)
        assert told.contents(index) != plain.contents(index)


def test_the_images_that_trainings_are_tested_on_carry_none():
    data = FashionMNIST(None, 20, 0, marks=True)
    pixels, labels = next(iter(data.val_dataloader()))
    assert not torch.equal(pixels, marked(pixels, labels, 10))
    assert (pixels[:, :, :2] == 0).all()
