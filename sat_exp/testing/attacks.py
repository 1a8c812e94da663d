"""The conformance check of attacks."""

import json
import random
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from sat_exp.attacks import Attack

IMAGES, CLASSES = 5, 4


class Linear(nn.Module):
    """A linear classifier in float64, whose logits of an image hardly depend on the other images of its batch."""

    def __init__(self, shape: Sequence[int], scale: float = 1.0) -> None:
        super().__init__()
        weight = np.random.default_rng(0).normal(size=(int(np.prod(shape)), CLASSES))
        self.weight = nn.Parameter(scale * torch.from_numpy(weight), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1).double() @ self.weight


def check_attack(attack: Attack, shape: tuple[int, int, int] = (3, 16, 16)) -> None:
    """AssertionError unless an attack is sound on images of `shape`, (channels, height, width).

    Sound: uint8 images of the same shape, within the budget of `attack.threat`, where gradients are zero too; equal for
    equal generators, whatever the global random state, the other images of the batch, and whether gradients are
    enabled; and nothing else changes: not the inputs, the classifier, the attack or the gradient mode.
    """
    classifier, images, labels = Linear(shape).eval(), sample(shape), torch.arange(IMAGES) % CLASSES
    before = deepcopy(vars(attack))
    assert isinstance(attack.version, int), "version is not a whole number: stored images are known by it"
    assert json.loads(json.dumps(before)) == before, "the fields are not plain values: stored images are known by them"
    seed_everything(0)
    adversarial = attacked(attack, classifier, images, labels)
    check_budget(attack, images, adversarial)
    check_reproducible(attack, classifier, images, labels, adversarial)
    check_flat(attack, images, labels, shape)
    assert vars(attack) == before, "the attack changes its own fields"


def seed_everything(seed: int) -> None:
    """Set the global random states, which an attack could use by mistake."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def sample(shape: Sequence[int]) -> Tensor:
    """Random images, with a black and a white one, uint8 [IMAGES, C, H, W]."""
    images = np.random.default_rng(1).integers(0, 256, (IMAGES, *shape), np.uint8)
    images[0], images[1] = 0, 255
    return torch.from_numpy(images)


def attacked(attack: Attack, classifier: nn.Module, images: Tensor, labels: Tensor, first: int = 0) -> Tensor:
    """The adversarial images, each from its own generator, numbered from `first`. Asserts that nothing else changes."""
    kept = images.clone(), labels.clone(), {name: value.clone() for name, value in classifier.state_dict().items()}
    enabled, training = torch.is_grad_enabled(), classifier.training
    generators = [np.random.default_rng((7, first + index)) for index in range(len(images))]
    adversarial = attack(classifier, images, labels, generators)
    assert torch.is_grad_enabled() == enabled, "the attack leaves the gradient mode changed"
    assert classifier.training == training, "the attack changes the mode of the classifier"
    assert torch.equal(images, kept[0]), "the attack changes the images it is given: work on a copy"
    assert torch.equal(labels, kept[1]), "the attack changes the labels it is given"
    for name, parameter in classifier.named_parameters():
        assert torch.equal(parameter, kept[2][name]), f"the attack changes the parameter {name}"
        assert not parameter.requires_grad, f"the attack lets {name} have gradients"
        assert parameter.grad is None, f"the attack leaves a gradient at {name}: use torch.autograd.grad"
    return adversarial


def check_budget(attack: Attack, images: Tensor, adversarial: Tensor) -> None:
    """Assert 8-bit images of the same shape within the budget."""
    assert adversarial.dtype == torch.uint8, f"the result is {adversarial.dtype}, not uint8"
    assert adversarial.shape == images.shape, f"the result has shape {tuple(adversarial.shape)}, not that of the images"
    assert not adversarial.requires_grad, "the result is attached to a graph of gradients: detach it"
    inside = attack.threat.allows(images.numpy(), adversarial.numpy())
    assert inside.all(), f"images {np.flatnonzero(~inside).tolist()} are outside the budget {attack.threat}"


def check_reproducible(attack: Attack, classifier: nn.Module, images: Tensor, labels: Tensor, first: Tensor) -> None:
    """Assert that the result depends on image, label, generator and classifier alone; `first`: an earlier result."""
    seed_everything(1)
    again = attacked(attack, classifier, images, labels)
    assert torch.equal(again, first), "a second call with equal generators gives other images: draw from them alone"
    with torch.no_grad():
        without = attacked(attack, classifier, images, labels)
    assert torch.equal(without, first), "the result depends on torch.no_grad(): decorate with @torch.enable_grad()"
    for index in range(len(images)):
        one = slice(index, index + 1)
        alone = attacked(attack, classifier, images[one], labels[one], index)
        assert torch.equal(alone[0], first[index]), f"image {index} alone gives another result than in its batch"


def check_flat(attack: Attack, images: Tensor, labels: Tensor, shape: Sequence[int]) -> None:
    """Assert a result within the budget for a classifier whose gradient is zero."""
    check_budget(attack, images, attacked(attack, Linear(shape, scale=0.0).eval(), images, labels))
