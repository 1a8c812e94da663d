"""PGD against torchattacks and foolbox on a trained network.

Without a random start all three take the same steps. They differ in float arithmetic only: sat_exp computes on 0…255,
the others on 0…1. The difference matters where a gradient is so close to zero that rounding decides its sign. It was
measured on the 557 test images of 64 pixels, over eight settings of ε 8 to 64 and 1 to 50 steps. In seven settings none
of the 35,648 bytes differs, in the eighth one byte does (3·10⁻⁵), and the same images are fooled in all. The bounds
below allow for other processors: a thousandth of the bytes may differ, and only images with different bytes may differ
in outcome.
"""

import warnings

import eagerpy as ep
import pytest
import torch
from scipy import stats
from torch import Tensor

from sat_exp.attacks import PGD

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    torchattacks = pytest.importorskip("torchattacks")
    foolbox = pytest.importorskip("foolbox")


def with_torchattacks(digits, attack: PGD) -> Tensor:
    """float [N, 1, 8, 8] in units of 1/255."""
    theirs = torchattacks.PGD(
        digits.classifier,
        eps=attack.epsilon / 255,
        alpha=attack.step_size / 255,
        steps=attack.steps,
        random_start=attack.random_start,
    )
    return theirs(digits.images / 255, digits.labels) * 255


def with_foolbox(digits, attack: PGD, start: Tensor | None = None) -> Tensor:
    """float [N, 1, 8, 8] in units of 1/255; `start`: the perturbation, in the same units, to begin with."""
    theirs = foolbox.attacks.LinfPGD(
        abs_stepsize=attack.step_size / 255, steps=attack.steps, random_start=attack.random_start
    )
    if start is not None:
        theirs.get_random_start = lambda clean, epsilon: clean + ep.astensor(start / 255)
    model = foolbox.PyTorchModel(digits.classifier, bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(digits.labels)
    return theirs.run(model, digits.images / 255, criterion, epsilon=attack.epsilon / 255) * 255


def fooled(digits, images: Tensor) -> Tensor:
    return digits.classifier(images / 255).argmax(1) != digits.labels


def seeds(count: int) -> Tensor:
    return torch.arange(count)


def assert_same_iterates(digits, ours: Tensor, theirs: Tensor) -> None:
    assert (theirs - theirs.round()).abs().max() < 1e-3
    theirs = theirs.round().to(torch.uint8)
    differs = ours != theirs
    assert differs.float().mean() <= 1e-3
    alike = ~differs.flatten(1).any(1)
    assert torch.equal(fooled(digits, ours)[alike], fooled(digits, theirs)[alike])


@pytest.mark.parametrize("library", [with_torchattacks, with_foolbox])
@pytest.mark.parametrize(
    ("epsilon", "step_size", "steps"), [(8, 8, 1), (8, 1, 5), (16, 2, 20), (32, 2, 20), (64, 4, 20)]
)
def test_same_iterates_without_a_random_start(digits, library, epsilon, step_size, steps):
    attack = PGD(epsilon, step_size, steps, random_start=False)
    ours = attack(digits.classifier, digits.images, digits.labels, [])
    assert_same_iterates(digits, ours, library(digits, attack))


def test_same_iterates_from_the_same_random_start(digits):
    attack = PGD(epsilon=24, step_size=2, steps=20, random_start=True)
    start = attack.start(digits.images, seeds(len(digits.images)))
    ours = attack(digits.classifier, digits.images, digits.labels, seeds(len(digits.images)))
    assert_same_iterates(digits, ours, with_foolbox(digits, attack, start))


@pytest.mark.parametrize("library", [with_torchattacks, with_foolbox])
def test_a_fractional_step_differs_by_the_rounding_alone(digits, library):
    attack = PGD(epsilon=16, step_size=1.5, steps=20, random_start=False)
    ours = attack(digits.classifier, digits.images, digits.labels, [])
    apart = (ours - library(digits, attack)).abs()
    assert apart.quantile(0.999) <= 0.5 + 1e-3


@pytest.mark.parametrize("library", [with_torchattacks, with_foolbox])
def test_same_success_with_random_starts(digits, library):
    """Theirs start anywhere within ε, ours on the grid. The same images are attacked: McNemar's exact test."""
    attack = PGD(epsilon=28, step_size=3, steps=10, random_start=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = fooled(digits, library(digits, attack))
    ours = fooled(digits, attack(digits.classifier, digits.images, digits.labels, seeds(len(digits.images))))
    assert 0.2 < ours.float().mean() < 0.9
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    assert gained + lost == 0 or stats.binomtest(gained, gained + lost).pvalue > 0.001
    assert abs(ours.float().mean() - theirs.float().mean()) < 0.03
