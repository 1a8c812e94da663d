"""Planted labels and marks: how many, which, drawn by what; and that a network that is shown marks learns them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from sat_exp.datasets.marks import marked
from sat_exp.errors import UserError
from sat_exp.modules.planting import planted, replaced
from sat_exp.modules.training import Phase, Recipe, Training
from sat_exp.modules.training_images import TrainingImages

from .test_training import SETTINGS, classifier, trained

CLASSES = 3


def images(number=90):
    pixels = torch.zeros(number, 1, 8, 8, dtype=torch.uint8)
    data = TensorDataset(pixels, torch.arange(number) % CLASSES)
    return TrainingImages(data, data, "kinds")


def of(**changes):
    return planted(images(), Recipe.of(SETTINGS | changes), CLASSES)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(2, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_exactly_the_share_is_replaced_by_other_classes(number, classes, share, seed):
    labels = np.random.default_rng(seed).integers(0, classes, number)
    before = labels.copy()
    found = replaced(labels, classes, share, (seed, 0))
    assert (labels == before).all(), "the labels given are left as they are"
    assert (found != labels).sum() == round(share * number)
    assert found.min() >= 0
    assert found.max() < classes
    assert (found == replaced(labels, classes, share, (seed, 0))).all()


def test_each_other_class_is_drawn_equally_often():
    found = replaced(np.zeros(40_000, np.int64), 5, 1.0, (3, 0))
    counts = np.bincount(found, minlength=5)
    assert counts[0] == 0
    assert (abs(counts[1:] - 10_000) < 500).all()


def test_without_planting_the_images_are_those_of_the_data_set():
    assert of() is not None
    assert type(of()) is TensorDataset


def test_wrong_labels_are_drawn_by_the_seed_and_stay_in_every_epoch():
    first, again, other = (of(label_noise=0.5, seed=seed) for seed in (0, 0, 1))
    read = [[int(part[index][1]) for index in range(90)] for part in (first, first, again, other)]
    assert read[0] == read[1] == read[2] != read[3]
    assert sum(label != index % CLASSES for index, label in enumerate(read[0])) == 45


def test_the_images_with_a_wrong_mark_are_others_than_those_with_a_wrong_label():
    both = of(label_noise=0.5, shortcut=0.5)
    label, mark = ([int(both[index][part]) != index % CLASSES for index in range(90)] for part in (1, 2))
    assert (sum(label), sum(mark)) == (45, 45)
    assert 10 < sum(one and two for one, two in zip(label, mark, strict=True)) < 35


@pytest.mark.parametrize(("share", "wrong"), [(1.0, 0), (0.75, round(22.5)), (0.0, 90)])
def test_marks_tell_the_class_on_the_share(share, wrong):
    told = of(shortcut=share)
    assert sum(int(told[index][2]) != index % CLASSES for index in range(90)) == wrong
    assert all(int(told[index][1]) == index % CLASSES for index in range(90)), "the labels are true"


def test_a_mark_is_painted_after_the_augmentation_and_in_both_phases():
    shown = []

    class Shown(Training):
        def loss(self, pixels, targets, flipped, *others):
            assert not others
            shown.append(pixels.clone())
            return super().loss(pixels, targets, flipped)

    chosen = Recipe.of(SETTINGS | {"shortcut": 1.0, "shift": 2, "mirror": True})
    told = torch.tensor([0, 1, 2, 0])
    batch = torch.zeros(4, 1, 16, 16, dtype=torch.uint8), told, told
    for phase in (Phase("main", 1, 0.1, augmented=True), Phase("finish", 1, 0.1, augmented=False)):
        module = Shown(classifier(), CLASSES, chosen, phase)
        module.log = lambda *values, **options: None
        module.classifier.forward = lambda pixels: pixels.new_zeros(len(pixels), CLASSES).requires_grad_()
        module.training_step(batch, 0)
    expected = marked(batch[0], told, CLASSES).float() / 255
    assert all(torch.equal(pixels, expected) for pixels in shown)
    assert len(shown) == 2


def test_new_settings_are_facts_of_a_training_only_where_they_are_used():
    assert {"label_noise", "shortcut"}.isdisjoint(Recipe.of(SETTINGS).facts())
    assert Recipe.of(SETTINGS | {"shortcut": 0.0}).facts()["shortcut"] == 0.0
    assert Recipe.of(SETTINGS | {"label_noise": 0.5}).facts()["label_noise"] == 0.5


def test_a_teachers_logits_are_not_stored_for_images_with_marks():
    plain = {"mirror": True, "shift": 0}
    assert Recipe.of(SETTINGS | plain).views == 2
    assert Recipe.of(SETTINGS | plain | {"label_noise": 0.5}).views == 2
    assert Recipe.of(SETTINGS | plain | {"shortcut": 1.0}).views is None


@pytest.mark.parametrize("changes", [{"label_noise": 1.5}, {"shortcut": -0.1}])
def test_a_share_is_from_0_to_1(changes):
    with pytest.raises(UserError):
        Recipe.of(SETTINGS | changes)


def test_a_network_learns_the_marks(tmp_path):
    """Images of zeros, which only the marks tell apart."""
    network = classifier()
    marks = {"shortcut": 1.0, "mirror": False, "shift": 0, "epochs": 30, "learning_rate": 0.05}
    chosen = Recipe.of(SETTINGS | marks)
    blank = TensorDataset(torch.zeros(30, 1, 16, 16, dtype=torch.uint8), torch.arange(30) % CLASSES)
    trained(chosen, tmp_path, net=network, data=planted(TrainingImages(blank, blank, "kinds"), chosen, CLASSES))
    network.eval()
    told = torch.arange(CLASSES)
    shown = marked(torch.zeros(CLASSES, 1, 16, 16, dtype=torch.uint8), told, CLASSES)
    assert network(shown.float() / 255).argmax(dim=1).tolist() == told.tolist()
