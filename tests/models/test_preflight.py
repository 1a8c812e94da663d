"""Models that preflight refuses or warns of, before any work is done on them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.errors import UserError
from sat_exp.models import Classifier, Model
from sat_exp.models.preflight import Checked, check, check_accuracy

CLASSES = 4
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8))


def model(network: nn.Module, *, pretrained: bool = True) -> Model:
    classifier = Classifier(network, size=8, mean=[0.5], std=[0.25], interpolation="bilinear").freeze()
    return Model("some", "family", "space", pretrained, 1, "fingerprint", classifier)


def linear(classes: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


class Then(nn.Module):
    """A linear network with something done to its logits."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.inner, self.change, self.calls = linear(), change, 0

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.inner(pixels)
        if self.change == "nan":
            return logits.index_fill(1, torch.tensor([2]), torch.nan)
        if self.change == "infinite":
            return logits + torch.tensor([0, 0, torch.inf, 0])
        if self.change == "last bits":
            self.calls += 1
            return logits * (1 + 1e-6 * self.calls)
        return F.dropout(logits, 0.5, training=True)


class Attention(nn.Module):
    """A transformer layer of torch, which computes in another way where no gradient is wanted."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(8, 64)
        self.layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, activation="gelu")
        self.head = nn.Linear(64, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(pixels.squeeze(1))).mean(dim=1))


def test_a_sound_model_passes_in_silence() -> None:
    assert check(model(linear()), IMAGES, CLASSES) == Checked([], deterministic=True)


def test_torch_transformers_pass() -> None:
    assert check(model(Attention()), IMAGES, CLASSES).warnings == []


@pytest.mark.parametrize("change", ["nan", "infinite"])
def test_logits_that_are_not_finite(change: str) -> None:
    with pytest.raises(UserError, match="model some gives logits that are not finite"):
        check(model(Then(change)), IMAGES, CLASSES)


def test_a_network_that_is_random() -> None:
    with pytest.raises(UserError, match="model some gives other logits for the same images"):
        check(model(Then("dropout")), IMAGES, CLASSES)


def test_kernels_that_give_other_last_bits_each_time_are_noted() -> None:
    checked = check(model(Then("last bits")), IMAGES, CLASSES)
    assert not checked.deterministic
    assert ["results of this device differ in the last bits" in warning for warning in checked.warnings] == [True]


@pytest.mark.parametrize("classes", [1, 3, 5, 1000])
def test_another_number_of_classes(classes: int) -> None:
    with pytest.raises(UserError, match=f"model some gives {classes} classes, the data set has 4"):
        check(model(linear(classes)), IMAGES, CLASSES)


def test_images_that_the_network_cannot_take() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, CLASSES))
    with pytest.raises(UserError, match=r"model some cannot take images of shape \(1, 8, 8\)") as error:
        check(model(network), IMAGES, CLASSES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("dead", "warned"), [(0.3, False), (0.7, True), (1.0, True)])
def test_a_gradient_of_mostly_zeros_is_warned_of(dead: float, warned: bool) -> None:
    network = linear()
    with torch.no_grad():
        network[1].weight[:, : int(64 * dead)] = 0  # type: ignore[index,operator]
    warnings = check(model(network), IMAGES, CLASSES).warnings
    assert [f"{int(64 * dead) / 64:.0%} of the input gradient is exactly zero" in line for line in warnings] == [
        True
    ] * warned


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.15])
def test_trained_weights_at_chance_are_refused(accuracy: float) -> None:
    labels = np.arange(200) % 10
    predictions = np.where(np.arange(200) < 200 * accuracy, labels, (labels + 1) % 10)
    with pytest.raises(
        UserError, match=f"model some classifies {accuracy:.1%} of the clean images correctly, which is chance"
    ):
        check_accuracy(model(linear()), predictions, labels, 10)
    check_accuracy(model(linear(), pretrained=False), predictions, labels, 10)


def test_weights_that_have_learnt_something_pass() -> None:
    labels = np.arange(200) % 10
    check_accuracy(model(linear()), np.where(np.arange(200) < 60, labels, (labels + 1) % 10), labels, 10)


def test_a_handful_of_images_says_nothing_of_chance() -> None:
    check_accuracy(model(linear()), np.ones(5, int), np.zeros(5, int), 10)
