"""The conformance check of attacks: every attack of the package passes, and every planted defect is found."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import hydra
import pytest
import torch
from torch.nn import functional as F

from sat_exp import settings
from sat_exp.attacks import Attack, Threat, random
from sat_exp.names import CONF, files_of
from sat_exp.testing import check_attack

FEW = {"steps": 5, "copies": 2, "mixed": 2, "scales": 2}


@pytest.mark.parametrize("name", files_of("attack", [CONF]))
def test_every_attack_of_this_package_is_sound(name):
    """With the settings of its file, except for the counts that its time is proportional to."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        attack = settings.build(hydra.compose("config", overrides=[f"attack={name}"]).attack, "attack")
    check_attack(replace(attack, **{key: min(value, FEW[key]) for key, value in vars(attack).items() if key in FEW}))


@dataclass(frozen=True)
class Signs(Attack):
    """A sound attack for the defects below to spoil."""

    epsilon: int = 4
    version: ClassVar[int] = 1

    @property
    def threat(self):
        return Threat("linf", self.epsilon)

    def moved(self, images, seeds):
        signs = 2 * random.integers(seeds, 0, 1, images.shape[1:]) - 1
        return (images.int() + self.epsilon * signs).clamp(0, 255).to(torch.uint8)

    def __call__(self, classifier, images, labels, seeds):
        return self.moved(images, seeds)


class TooFar(Signs):
    def __call__(self, classifier, images, labels, seeds):
        return (self.moved(images, seeds).int() + 3).clamp(0, 255).to(torch.uint8)


class Floats(Signs):
    def __call__(self, classifier, images, labels, seeds):
        return self.moved(images, seeds) / 255


class GlobalDraws(Signs):
    def __call__(self, classifier, images, labels, seeds):
        return (images.int() + torch.randint(-1, 2, images.shape)).clamp(0, 255).to(torch.uint8)


class OfTheBatch(Signs):
    def __call__(self, classifier, images, labels, seeds):
        return self.moved(images, seeds.flip(0))


class InPlace(Signs):
    def __call__(self, classifier, images, labels, seeds):
        return images.copy_(self.moved(images, seeds))


class Backward(Signs):
    """Accumulates gradients in the parameters."""

    def __call__(self, classifier, images, labels, seeds):
        with torch.enable_grad():
            classifier.requires_grad_()
            F.cross_entropy(classifier(images / 255), labels).backward()
        return self.moved(images, seeds)


class Mode(Signs):
    def __call__(self, classifier, images, labels, seeds):
        torch.set_grad_enabled(False)
        return self.moved(images, seeds)


class Training(Signs):
    def __call__(self, classifier, images, labels, seeds):
        classifier.train()
        return self.moved(images, seeds)


class NeedsGradients(Signs):
    """Without torch.enable_grad it falls back on noise."""

    def __call__(self, classifier, images, labels, seeds):
        return self.moved(images, seeds) if torch.is_grad_enabled() else images.clone()


class DividesByTheGradient(Signs):
    def __call__(self, classifier, images, labels, seeds):
        with torch.enable_grad():
            pixels = (images / 255).requires_grad_()
            (gradient,) = torch.autograd.grad(classifier(pixels).sum(), pixels)
        step = gradient / gradient.abs().amax((1, 2, 3), keepdim=True) * self.epsilon
        return (images + step.round().nan_to_num(99)).clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Counts(Signs):
    """Keeps a state between calls."""

    calls: list[int] = field(default_factory=list)

    def __post_init__(self):
        pass

    def __call__(self, classifier, images, labels, seeds):
        self.calls.append(1)
        return self.moved(images, seeds)


def test_a_sound_attack_of_ones_own_passes():
    check_attack(Signs())
    check_attack(Signs(), shape=(1, 5, 7))


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (TooFar, "outside the budget L∞ ≤ 4/255"),
        (Floats, r"the result is torch.float32, not uint8"),
        (GlobalDraws, "a second call with equal seeds gives other images"),
        (OfTheBatch, "image 0 alone gives another result than in its batch"),
        (InPlace, "the attack changes the images it is given"),
        (Backward, "the attack lets weight have gradients"),
        (Mode, "the attack leaves the gradient mode changed"),
        (Training, "the attack changes the mode of the classifier"),
        (NeedsGradients, r"the result depends on torch.no_grad\(\)"),
        (DividesByTheGradient, "outside the budget"),
        (Counts, "the attack changes its own fields"),
    ],
)
def test_each_defect_is_found(attack, message):
    with torch.set_grad_enabled(True), pytest.raises(AssertionError, match=message):
        check_attack(attack())
