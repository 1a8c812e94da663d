"""PGD against closed forms, and the properties of its adversarial images."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.attacks import PGD
from sat_exp.errors import UserError


def seeds(*indices: int) -> Tensor:
    return torch.tensor(indices, dtype=torch.int64)


def random_images(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Bytes that touch both ends of the range often, where clipping and wrap-around would show."""
    values = np.random.default_rng(seed).choice(np.arange(-60, 316), size=shape)
    return torch.from_numpy(values.clip(0, 255).astype(np.uint8))


class Linear(nn.Module):
    """Logits = weight · pixels, weight [classes, C·H·W]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1) @ self.weight.T


def binary_linear(seed: int, values: int) -> tuple[Linear, Tensor]:
    """A binary model with opposite weights, none of them 0, and the sign of w₁ − w₀."""
    half = torch.from_numpy(np.random.default_rng(seed).choice([-0.03, -0.01, 0.01, 0.03], size=values)).float()
    return Linear(torch.stack([-half, half])), half.sign()


def indifferent(pixels: Tensor) -> Tensor:
    """Logits with a gradient of exactly zero: an attack on them returns its start."""
    return 0 * pixels.flatten(1)[:, :2]


class Recorder(nn.Module):
    """Passes everything on to `inner` and keeps the batches it was called with."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls: list[Tensor] = []

    def forward(self, pixels: Tensor) -> Tensor:
        self.calls.append(pixels.detach().clone())
        return self.inner(pixels)


whole_steps = st.builds(
    PGD,
    epsilon=st.integers(0, 255),
    step_size=st.integers(1, 255),
    steps=st.integers(1, 4),
    random_start=st.booleans(),
)
any_steps = st.builds(
    PGD,
    epsilon=st.sampled_from([0, 1, 2, 3, 8, 16, 100, 255]),
    step_size=st.sampled_from([0.1, 0.5, 0.7, 1, 1.5, 2.5, 8, 33.3, 255]),
    steps=st.integers(1, 4),
    random_start=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(attack=any_steps, seed=st.integers(0, 2**32), size=st.sampled_from([(1, 3, 4, 5), (5, 1, 6, 6)]))
def test_bytes_stay_within_epsilon_and_the_range(attack, seed, size):
    images = random_images(seed, size)
    before = images.clone()
    model, _ = binary_linear(seed, images[0].numel())
    labels = torch.arange(len(images)) % 2
    adversarial = attack(model, images, labels, seeds(*range(len(images))))
    assert adversarial.dtype == torch.uint8
    assert adversarial.shape == images.shape
    assert not adversarial.requires_grad
    assert (adversarial.int() - images.int()).abs().max() <= attack.epsilon
    assert torch.equal(images, before)


@pytest.mark.parametrize("step_size", [0.7, 1, 1.5, 3])
@pytest.mark.parametrize("random_start", [False, True])
def test_bytes_of_a_network_stay_within_epsilon(digits, step_size, random_start):
    images, labels = digits.images[:64], digits.labels[:64]
    attack = PGD(epsilon=10, step_size=step_size, steps=20, random_start=random_start)
    adversarial = attack(digits.classifier, images, labels, seeds(*range(64)))
    change = adversarial.int() - images.int()
    assert change.abs().max() == 10
    blank, full = images == 0, images == 255
    assert blank.any()
    assert full.any()
    assert change[blank].min() == 0
    assert change[full].max() == 0


@settings(max_examples=60, deadline=None)
@given(attack=whole_steps, seed=st.integers(0, 2**32))
def test_linear_models_have_a_closed_form(attack, seed):
    """x_k = clip(clean + clip(start + k·step·sign(w_other − w_true), ±ε), 0, 255), clipped at every step."""
    images = random_images(seed, (4, 2, 3, 3))
    labels = torch.tensor([0, 1, 1, 0])
    model, towards_one = binary_linear(seed, 18)
    adversarial = attack(model, images, labels, seeds(0, 1, 2, 3))

    clean = images.int()
    direction = (towards_one * (1 - 2 * labels)[:, None]).view(images.shape).int()
    low, high = (clean - attack.epsilon).clamp(min=0), (clean + attack.epsilon).clamp(max=255)
    if attack.random_start:
        start = PGD(attack.epsilon, 1, 1, True)(indifferent, images, labels, seeds(0, 1, 2, 3)).int()
    else:
        start = clean
        reach = min(attack.steps * int(attack.step_size), attack.epsilon)
        assert torch.equal(adversarial.int(), (clean + reach * direction).clamp(0, 255))
    assert torch.equal(adversarial.int(), (start + attack.steps * int(attack.step_size) * direction).clamp(low, high))


def test_a_fractional_step_is_rounded_once_at_the_end():
    images = torch.full((1, 1, 2, 2), 100, dtype=torch.uint8)
    model, towards_one = binary_linear(0, 4)
    labels = torch.tensor([0])
    for step_size, steps, moved in [(0.7, 1, 1), (0.7, 4, 3), (0.4, 1, 0), (0.4, 4, 2), (1.3, 4, 5), (0.7, 50, 9)]:
        adversarial = PGD(9, step_size, steps, False)(model, images, labels, seeds(0))
        assert torch.equal(adversarial.int() - 100, (moved * towards_one).view(images.shape).int()), (step_size, steps)


def test_whole_steps_keep_every_iterate_on_the_grid(digits):
    """What the network sees at each step is the bytes k/255, so that storing bytes loses nothing."""
    model = Recorder(digits.classifier)
    attack = PGD(epsilon=16, step_size=3, steps=9, random_start=True)
    attack(model, digits.images[:32], digits.labels[:32], seeds(*range(32)))
    for seen in model.calls:
        assert torch.equal(seen, (seen * 255).round() / 255)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), classes=st.integers(2, 6), epsilon=st.integers(1, 64), steps=st.integers(1, 6))
def test_loss_of_a_linear_model_never_falls(seed, classes, epsilon, steps):
    """Cross-entropy is convex in the pixels of a linear model, and each clipped step follows its gradient's signs."""
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.normal(0, 0.05, (classes, 12)))
    images, labels = random_images(seed, (5, 3, 2, 2)), torch.from_numpy(rng.integers(0, classes, 5))
    model = Linear(weight)
    adversarial = PGD(epsilon, 2, steps, False)(lambda x: model(x.double()), images, labels, seeds(*range(5)))
    before, after = (
        F.cross_entropy(model(x / 255.0), labels, reduction="none") for x in (images.double(), adversarial.double())
    )
    assert (after >= before - 1e-9).all()


def test_more_steps_fool_the_network_more(digits):
    rates = []
    for steps in (1, 4, 32):
        adversarial = PGD(48, 3, steps, False)(digits.classifier, digits.images, digits.labels, [])
        rates.append((digits.classifier(adversarial / 255).argmax(1) != digits.labels).float().mean().item())
    assert all(fewer < more for fewer, more in pairwise(rates))
    assert rates[-1] > 0.9


@pytest.mark.parametrize("random_start", [False, True])
def test_epsilon_zero_returns_the_clean_bytes(digits, random_start):
    attack = PGD(epsilon=0, step_size=1, steps=3, random_start=random_start)
    adversarial = attack(digits.classifier, digits.images[:16], digits.labels[:16], seeds(*range(16)))
    assert torch.equal(adversarial, digits.images[:16])


def test_start_of_an_image_follows_from_its_generator_alone():
    images = random_images(0, (6, 3, 5, 5))
    labels = torch.zeros(6, dtype=torch.int64)
    attack = PGD(epsilon=8, step_size=1, steps=1, random_start=True)
    together = attack(indifferent, images, labels, seeds(*range(6)))
    order = [4, 1, 5, 0, 3, 2]
    assert torch.equal(attack(indifferent, images[order], labels, seeds(*order)), together[order])
    for index in range(6):
        alone = attack(indifferent, images[[index]], labels[:1], seeds(index))
        assert torch.equal(alone[0], together[index])
    assert not torch.equal(attack(indifferent, images, labels, seeds(*range(6, 12))), together)


def test_whole_attack_does_not_depend_on_the_batch_where_the_network_does_not():
    images, labels = random_images(1, (8, 1, 4, 4)), torch.arange(8) % 2
    model, _ = binary_linear(1, 16)
    attack = PGD(epsilon=8, step_size=1, steps=5, random_start=True)
    together = attack(model, images, labels, seeds(*range(8)))
    for chunk in torch.tensor([7, 2, 4, 0, 1, 6, 3, 5]).split(3):
        alone = attack(model, images[chunk], labels[chunk], seeds(*chunk.tolist()))
        assert torch.equal(alone, together[chunk])


def test_the_same_call_gives_the_same_bytes(digits):
    attack = PGD(epsilon=16, step_size=2, steps=10, random_start=True)
    first, second = (
        attack(digits.classifier, digits.images[:50], digits.labels[:50], seeds(*range(50))) for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("epsilon", [1, 8, 16])
def test_start_is_uniform_over_the_whole_numbers_to_epsilon(epsilon):
    images = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    attack = PGD(epsilon=epsilon, step_size=1, steps=1, random_start=True)
    start = attack(indifferent, images, torch.zeros(20, dtype=torch.int64), seeds(*range(20))).int() - 128
    counts = torch.bincount(start.flatten() + epsilon, minlength=2 * epsilon + 1)
    assert len(counts) == 2 * epsilon + 1
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_start_is_clipped_to_the_range_not_wrapped():
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat(1, 1, 20, 20)
    start = PGD(200, 1, 1, True)(indifferent, images, torch.tensor([0]), seeds(0))
    black = images == 0
    assert start[black].float().mean() < 100
    assert start[~black].float().mean() > 155
    assert 0.4 < (start[black] == 0).float().mean() < 0.6


def test_classifier_is_called_once_a_step_and_first_on_the_clean_pixels(digits):
    model = Recorder(digits.classifier)
    images, labels = digits.images[:8], digits.labels[:8]
    PGD(epsilon=8, step_size=1, steps=7, random_start=False)(model, images, labels, [])
    assert len(model.calls) == 7
    assert torch.equal(model.calls[0], images / 255)


def test_parameters_get_no_gradient_even_when_they_could(digits):
    thawed = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images, labels = digits.images[:8], digits.labels[:8]
    before = [parameter.clone() for parameter in thawed.parameters()]
    PGD(epsilon=8, step_size=1, steps=3, random_start=False)(thawed, images, labels, [])
    for parameter, value in zip(thawed.parameters(), before, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, value)


def test_fgsm_is_the_sign_of_one_gradient(digits):
    attack = PGD(epsilon=8, step_size=8, steps=1, random_start=False)
    images, labels = digits.images[:100], digits.labels[:100]
    pixels = (images / 255).requires_grad_()
    F.cross_entropy(digits.classifier(pixels), labels, reduction="sum").backward()
    expected = (images.int() + 8 * pixels.grad.sign().int()).clamp(0, 255)
    assert torch.equal(attack(digits.classifier, images, labels, []).int(), expected)


def test_fgsm_file_is_one_step_as_long_as_epsilon(repository):
    settings = OmegaConf.to_container(OmegaConf.load(repository / "conf/attack/fgsm.yaml"), resolve=True)
    assert settings.pop("_target_") == "sat_exp.attacks.PGD"
    attack = PGD(**settings)
    assert attack == PGD(epsilon=attack.epsilon, step_size=attack.epsilon, steps=1, random_start=False)


def test_pgd_file_is_on_the_grid(repository):
    settings = OmegaConf.to_container(OmegaConf.load(repository / "conf/attack/pgd.yaml"), resolve=True)
    assert settings.pop("_target_") == "sat_exp.attacks.PGD"
    assert PGD(**settings) == PGD(epsilon=8, step_size=1, steps=50, random_start=True)


GOOD = {"epsilon": 8, "step_size": 1, "steps": 10, "random_start": True}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("epsilon", value) for value in (-1, 256, 8.5, 8 / 255, float("nan"), "8", None, True)],
        *[("step_size", value) for value in (0, -1, 255.5, float("nan"), float("inf"), "1", None, True)],
        *[("steps", value) for value in (0, -5, 2.5, float("nan"), "10", None, True)],
        *[("random_start", value) for value in ("yes", 1, None)],
    ],
)
def test_bad_settings_are_one_clear_line(field, value):
    with pytest.raises(UserError) as caught:
        PGD(**(GOOD | {field: value}))
    message = str(caught.value)
    typed = "null" if value is None else str(value)
    assert re.match(rf"attack\.{field}='?{re.escape(typed)}'?: ", message, re.IGNORECASE)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value"),
    [("epsilon", 0), ("epsilon", 255), ("step_size", 0.1), ("step_size", 255), ("steps", 1), ("random_start", False)],
)
def test_the_ends_of_the_ranges_are_allowed(field, value):
    assert getattr(PGD(**(GOOD | {field: value})), field) == value


@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_seed_an_image(count):
    """Fewer would be broadcast, so that images shared a start."""
    images, labels = random_images(0, (2, 1, 4, 4)), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        PGD(8, 1, 1, True)(indifferent, images, labels, seeds(*range(count)))
