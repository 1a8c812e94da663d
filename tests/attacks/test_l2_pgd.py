"""L2-PGD against closed forms and other libraries, and the properties of its adversarial images."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy import stats
from torch import Tensor

from sat_exp.attacks import Threat
from sat_exp.attacks.l2_pgd import L2PGD, rounded
from sat_exp.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    torchattacks = pytest.importorskip("torchattacks")
    foolbox = pytest.importorskip("foolbox")


def seeds(*indices: int) -> Tensor:
    return torch.tensor(indices)


def lengths(images: Tensor, clean: Tensor) -> Tensor:
    return (images.double() - clean.double()).flatten(1).norm(dim=1)


def linear(seed: int, values: int):
    """A classifier of two classes that is linear in the pixels, and its weights [values, 2]."""
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=(values, 2)).astype(np.float32))
    return lambda pixels: pixels.flatten(1) @ weights, weights


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    epsilon=st.sampled_from([0, 0.3, 1, 2.5, 7, 40, 333.3, 5000]),
    step_size=st.sampled_from([0.1, 3, 1000]),
    steps=st.integers(1, 4),
    random_start=st.booleans(),
)
def test_every_adversarial_image_is_an_8_bit_image_within_the_budget(seed, epsilon, step_size, steps, random_start):
    values = np.random.default_rng(seed).choice(np.arange(-60, 316), (5, 2, 4, 3)).clip(0, 255)
    images = torch.from_numpy(values.astype(np.uint8))
    attack = L2PGD(epsilon, step_size, steps, random_start)
    adversarial = attack(linear(seed, 24)[0], images, torch.arange(5) % 2, seeds(*range(5)))
    assert (adversarial.dtype, adversarial.shape) == (torch.uint8, images.shape)
    assert (lengths(adversarial, images) <= epsilon).all()
    assert attack.threat.allows(images.numpy(), adversarial.numpy()).all()


def test_a_linear_model_has_a_closed_form():
    """The optimum is epsilon along w₁ − w₀ = (3, 4, 0, 0): the step (6, 8, 0, 0) of length 10, away from class 0."""
    weights = torch.tensor([[0, 3], [0, 4], [0, 0], [0, 0]]) / 100
    images = torch.full((2, 1, 2, 2), 128, dtype=torch.uint8)
    for steps in (1, 2, 5):
        attack = L2PGD(epsilon=10, step_size=10, steps=steps, random_start=False)
        result = attack(lambda pixels: pixels.flatten(1) @ weights, images, torch.tensor([0, 1]), [])
        change = (result.int() - 128).flatten(1)
        assert change.tolist() == [[6, 8, 0, 0], [-6, -8, 0, 0]]


@pytest.mark.parametrize("epsilon", [30, 200])
def test_a_random_start_reaches_the_optimum_of_a_linear_model(epsilon):
    model, weights = linear(3, 108)
    images = torch.full((4, 3, 6, 6), 128, dtype=torch.uint8)
    result = L2PGD(epsilon, epsilon / 2, 30)(model, images, torch.zeros(4, dtype=torch.int64), seeds(*range(4)))
    gain = (result.double() - 128).flatten(1) @ (weights[:, 1] - weights[:, 0]).double()
    assert (gain > 0.98 * epsilon * (weights[:, 1] - weights[:, 0]).norm()).all()


def test_tiny_gradients_are_steps_of_full_length():
    images = torch.full((1, 1, 4, 4), 100, dtype=torch.uint8)
    attack = L2PGD(epsilon=50, step_size=50, steps=1, random_start=False)
    model, _ = linear(0, 16)
    faint = attack(lambda pixels: 1e-30 * model(pixels), images, torch.tensor([0]), [])
    assert torch.equal(faint, attack(model, images, torch.tensor([0]), []))
    assert torch.equal(attack(lambda pixels: 0 * model(pixels), images, torch.tensor([0]), []), images)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), epsilon=st.floats(0.5, 60), share=st.floats(0.1, 1))
def test_rounding_keeps_the_budget_and_as_much_of_the_perturbation_as_possible(seed, epsilon, share):
    vectors = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 1, 5, 5)).astype(np.float32))
    vectors *= epsilon * share / vectors.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    result = rounded(vectors, epsilon)
    assert (result.double().flatten(1).norm(dim=1) <= epsilon).all()
    for vector, found in zip(vectors.double(), result.double(), strict=True):
        fitting = [scaled for s in np.linspace(0, 1, 400) if (scaled := (s * vector).round()).norm() <= epsilon]
        assert found.norm() >= fitting[-1].norm()


def with_foolbox(digits, attack: L2PGD) -> Tensor:
    theirs = foolbox.attacks.L2PGD(abs_stepsize=attack.step_size / 255, steps=attack.steps, random_start=False)
    model = foolbox.PyTorchModel(digits.classifier, bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(digits.labels)
    return theirs.run(model, digits.images / 255, criterion, epsilon=attack.epsilon / 255) * 255


def with_torchattacks(digits, attack: L2PGD) -> Tensor:
    theirs = torchattacks.PGDL2(
        *(digits.classifier, attack.epsilon / 255, attack.step_size / 255, attack.steps),
        random_start=False,
        eps_for_division=1e-30,
    )
    return theirs(digits.images / 255, digits.labels) * 255


@pytest.mark.parametrize("library", [with_foolbox, with_torchattacks])
@pytest.mark.parametrize(("epsilon", "step_size", "steps"), [(100, 100, 1), (100, 20, 10), (300, 30, 20)])
def test_other_libraries_give_the_same_images(digits, library, epsilon, step_size, steps):
    """Theirs are not 8-bit images: rounded as ours are, they differ where float arithmetic does."""
    attack = L2PGD(epsilon, step_size, steps, random_start=False)
    ours, theirs = attack(digits.classifier, digits.images, digits.labels, []), library(digits, attack)
    differs = ours != (digits.images + rounded(theirs - digits.images, epsilon)).to(torch.uint8)
    assert differs.float().mean() < 2e-3
    fooled = [digits.classifier(images / 255).argmax(1) != digits.labels for images in (ours, theirs)]
    assert (fooled[0] != fooled[1]).float().mean() < 0.01
    assert fooled[0].any()


def test_starts_are_uniform_in_the_ball_and_belong_to_their_image():
    images = torch.full((400, 1, 3, 3), 128, dtype=torch.uint8)
    starts = L2PGD(50).start(images, seeds(*range(400)))
    radii = starts.flatten(1).double().norm(dim=1) / 50
    assert stats.kstest(radii.numpy() ** 9, "uniform").pvalue > 0.001
    directions = starts.flatten(1).double() / starts.flatten(1).double().norm(dim=1, keepdim=True)
    assert directions.mean(dim=0).abs().max() < 4 / (400 * 9) ** 0.5
    assert torch.equal(L2PGD(50).start(images[:2], seeds(7, 3)), starts[[7, 3]])


def test_batches_do_not_matter(digits):
    attack = L2PGD(200, 40, 5)
    together = attack(digits.classifier, digits.images[:6], digits.labels[:6], seeds(*range(6)))
    apart = [attack(digits.classifier, digits.images[i : i + 1], digits.labels[i : i + 1], seeds(i)) for i in range(6)]
    assert (torch.cat(apart) != together).float().mean() < 0.01


def test_the_file_states_the_defaults(repository):
    stated = OmegaConf.to_container(OmegaConf.load(repository / "conf/attack/l2_pgd.yaml"))
    assert stated.pop("_target_") == "sat_exp.attacks.l2_pgd.L2PGD"
    assert L2PGD(**stated) == L2PGD(epsilon=765)
    assert L2PGD(**stated).threat == Threat("l2", 765)
    assert str(L2PGD(**stated).threat) == "L2 ≤ 765/255"


@pytest.mark.parametrize("wrong", [{"epsilon": -1}, {"epsilon": 5, "step_size": "1"}, {"epsilon": 5, "steps": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=rf"attack\.{list(wrong)[-1]}="):
        L2PGD(**wrong)
