"""Distillation: the losses against their definitions, the parameters that get gradients, a teacher's stored logits."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from sat_exp.models import Classifier, Model
from sat_exp.modules.distillation import Distillation, Distilling, TeacherPrediction, WithTeacherLogits, teacher_logits
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import Phase, Recipe
from sat_exp.modules.training_images import TrainingImages
from sat_exp.store import Store

CLASSES = 3
MAIN = Phase("main", 1, 0.01, augmented=True)
RECIPE = Recipe(
    epochs=1, finishing_epochs=0, batch_size=8, seed=0, optimizer="adamw", learning_rate=0.01, weight_decay=0, shift=0
)


def classifier(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Flatten(), nn.Linear(36, CLASSES))
    return Classifier(network, size=8, mean=[0.5], std=[0.5], interpolation="bicubic")


def images(number=12):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (number, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return TensorDataset(pixels, torch.arange(number) % CLASSES)


def logits(seed, number=5):
    return torch.randn(number, CLASSES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distilling(student, teacher, distillation):
    return Distilling(student, CLASSES, RECIPE, MAIN, distillation=distillation, teacher=teacher)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(0.5, 20))
def test_the_soft_loss_is_by_its_definition(seed, temperature):
    student, teacher = logits(seed), logits(seed + 1)
    p, q = ((part / temperature).softmax(dim=1) for part in (teacher, student))
    expected = temperature**2 * (p * (p.log() - q.log())).sum(dim=1).mean()
    loss = Distillation(hard=False, weight=0.5, temperature=temperature).loss
    torch.testing.assert_close(loss(student, teacher), expected)
    assert loss(teacher + 3, teacher) == pytest.approx(0, abs=1e-12)


def test_at_a_high_temperature_it_matches_logits():
    """Hinton et al., §2.1: in the limit, half the mean square of the difference of centred logits."""
    student, teacher = logits(0), logits(1)
    difference = (student - student.mean(dim=1, keepdim=True)) - (teacher - teacher.mean(dim=1, keepdim=True))
    expected = difference.square().mean(dim=1).mean() / 2
    loss = Distillation(hard=False, weight=0.5, temperature=1e4).loss(student, teacher)
    assert loss == pytest.approx(float(expected), rel=1e-3)


def test_the_hard_loss_takes_the_teachers_class():
    student, teacher = logits(0), logits(1)
    expected = -student.log_softmax(dim=1)[torch.arange(5), teacher.argmax(dim=1)].mean()
    loss = Distillation(hard=True, weight=0.5, temperature=3).loss
    torch.testing.assert_close(loss(student, teacher), expected)
    torch.testing.assert_close(loss(student, 7 * teacher), expected)


@pytest.mark.parametrize("hard", [True, False])
def test_the_whole_loss_is_shared_between_labels_and_teacher(hard):
    student, teacher = classifier(1), classifier(2).freeze()
    distillation = Distillation(hard, weight=0.3, temperature=2.0)
    pixels, labels = torch.rand(6, 1, 8, 8), torch.arange(6) % CLASSES
    module = distilling(student, teacher, distillation)
    output = student(pixels)
    expected = 0.7 * F.cross_entropy(output, labels) + 0.3 * distillation.loss(output, teacher(pixels))
    torch.testing.assert_close(module.loss(pixels, labels, torch.zeros(6, dtype=torch.bool)), expected)


def test_only_the_student_learns_and_is_kept():
    student, teacher = classifier(1), classifier(2).freeze()
    module = distilling(student, teacher, Distillation(True, 0.5, 1.0))
    module.loss(torch.rand(6, 1, 8, 8), torch.arange(6) % CLASSES, torch.zeros(6, dtype=torch.bool)).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert {id(parameter) for parameter in module.parameters()} == {id(parameter) for parameter in student.parameters()}
    assert all(name.startswith("classifier.network.") for name in module.state_dict())


@pytest.fixture
def teacher():
    net = classifier(2).freeze()
    return Model("teacher", "T", "three", True, 1, "f1", net)


@pytest.fixture
def kept(tmp_path):
    return Store.at(tmp_path), Hardware("cpu", "32-true", batch_size=5, threads=1, workers=1)


def test_teacher_logits_are_those_of_both_views_and_computed_once(teacher, kept, monkeypatch):
    monkeypatch.setattr("sat_exp.modules.distillation.CHUNK", 5)
    shown = TrainingImages(images(), images(), "three")
    found = teacher_logits(teacher, CLASSES, shown, 2, *kept)
    pixels = images().tensors[0].float() / 255
    expected = torch.stack([teacher.classifier(pixels), teacher.classifier(pixels.flip(-1))], dim=1)
    torch.testing.assert_close(found, expected.detach())
    monkeypatch.setattr(TeacherPrediction, "predict_step", None)
    assert torch.equal(teacher_logits(teacher, CLASSES, shown, 2, *kept), found)


def test_stored_logits_and_those_of_the_pixels_give_the_same_loss(teacher, kept):
    """The training step with batches that have logits and with batches that do not."""
    shown = TrainingImages(images(), images(), "three")
    batches = WithTeacherLogits(images(), teacher_logits(teacher, CLASSES, shown, 2, *kept))
    with_logits = [
        torch.stack(list(part)) for part in zip(*(batches[index] for index in range(len(batches))), strict=True)
    ]
    losses = []
    for batch in (with_logits, images().tensors):
        module = distilling(classifier(1), teacher.classifier, Distillation(False, 0.5, 2.0))
        module.log = lambda *given, **options: None
        torch.manual_seed(5)
        losses.append(module.training_step(batch, 0))
    torch.testing.assert_close(*losses)


def test_a_distillation_token_learns_from_the_teacher_and_the_class_token_from_the_labels(teacher):
    torch.manual_seed(0)
    network = timm.create_model(
        "deit_tiny_distilled_patch16_224", img_size=8, patch_size=4, in_chans=1, num_classes=CLASSES, embed_dim=12,
        depth=1, num_heads=2,
    )  # fmt: skip
    student = Classifier(network, size=8, mean=[0.5], std=[0.5], interpolation="bicubic")
    module = distilling(student, teacher.classifier, Distillation(True, 1.0, 1.0))
    plain = torch.zeros(6, dtype=torch.bool)
    module.loss(torch.rand(6, 1, 8, 8), torch.arange(6) % CLASSES, plain).backward()
    assert network.head_dist.weight.grad.abs().sum() > 0
    assert network.head.weight.grad.abs().sum() == 0
    assert isinstance(student.freeze()(torch.rand(2, 1, 8, 8)), torch.Tensor)
