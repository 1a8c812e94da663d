"""The gate: it passes other rounding and refuses another function."""

import copy
from typing import Any

import numpy as np
import pytest
import timm
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from sat_exp import models
from sat_exp.datasets import FashionMNIST
from sat_exp.models import Classifier
from sat_exp.names import CONF
from sat_exp.numerics import GateResult, applied, gate
from sat_exp.numerics.folding import folded
from sat_exp.numerics.gating import REDUCED
from sat_exp.numerics.technique import with_network

from .networks import classifier, images, labels

BUNDLED = list(OmegaConf.load(CONF / "pool/bundled.yaml").models)


@pytest.fixture(scope="module")
def fashion() -> tuple[Tensor, Tensor]:
    """Twenty images and labels of Fashion-MNIST."""
    found = FashionMNIST(root=None, size=20, seed=0).images
    pixels = torch.from_numpy(np.stack([found.read(index) for index in range(len(found))]))
    assert found.labels is not None
    return pixels, torch.from_numpy(found.labels)


@pytest.fixture(scope="module")
def resnet() -> Classifier:
    return models.load(OmegaConf.load(CONF / "model/fashion_resnet.yaml")).classifier


@pytest.mark.parametrize("name", BUNDLED)
def test_trained_networks_pass_folded_and_in_channels_last(name: str, fashion: tuple[Tensor, Tensor]) -> None:
    exact = models.load(OmegaConf.load(CONF / f"model/{name}.yaml")).classifier
    result = gate(exact, applied(exact, ["folded", "channels_last"]), *fashion)
    assert result.passed, result.reason
    assert result.logit_error < 2e-5
    assert result.changed == 0


def corrupted(exact: Classifier, how: str) -> Classifier:
    """The folded network with an error in its first normalisation that is folded."""
    wrong = copy.deepcopy(exact)
    bn: Any = next(module for module in wrong.network.modules() if isinstance(module, nn.BatchNorm2d))
    if how == "sign":
        bn.weight.data[0] *= -1
    elif how == "eps":
        bn.eps *= 1000
    elif how == "shift":
        bn.bias.data *= 1.001
    return folded(wrong)


@pytest.mark.parametrize("how", ["sign", "eps", "shift"])
def test_a_corrupted_fold_is_refused(how: str, resnet: Classifier, fashion: tuple[Tensor, Tensor]) -> None:
    result = gate(resnet, corrupted(resnet, how), *fashion)
    assert not result.passed
    assert "logits differ by" in result.reason
    assert "\n" not in result.reason


class Flipped(torch.autograd.Function):
    """The identity, whose gradient has the wrong sign in every second column."""

    @staticmethod
    def forward(context: Any, pixels: Tensor) -> Tensor:
        return pixels.view_as(pixels)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.clone()
        gradient[..., ::2] *= -1
        return gradient


class WrongGradient(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(Flipped.apply(pixels))


def test_right_logits_with_half_of_the_gradient_signs_flipped(resnet: Classifier, fashion: Any) -> None:
    wrong = with_network(resnet, WrongGradient(resnet.network))
    result = gate(resnet, wrong, *fashion)
    assert result.logit_error == 0
    assert result.equal_signs == pytest.approx(0.5, abs=0.1)
    assert "equal signs of input gradients" in result.reason
    assert "cosine" in result.reason
    assert gate(resnet, wrong, *fashion, gradients=False).passed
    assert not gate(resnet, wrong, *fashion, limits=REDUCED).passed


def test_a_network_against_itself(resnet: Classifier, fashion: tuple[Tensor, Tensor]) -> None:
    result = gate(resnet, resnet, *fashion)
    assert (result.images, result.logit_error, result.changed, result.equal_signs) == (20, 0, 0, 1)
    assert result.cosine == pytest.approx(1)
    assert result.reason == ""


def test_other_classes_and_other_shapes_are_refused() -> None:
    one = classifier(timm.create_model("resnet10t", num_classes=10))
    other = classifier(timm.create_model("resnet10t", num_classes=9))
    assert not gate(one, other, images(4), labels(4)).passed


def test_logits_that_are_not_finite_are_refused(resnet: Classifier, fashion: tuple[Tensor, Tensor]) -> None:
    wrong = copy.deepcopy(resnet)
    for parameter in wrong.parameters():
        parameter.data.fill_(torch.nan)
    assert not gate(resnet, wrong, *fashion, gradients=False).passed
    assert not gate(resnet, wrong, *fashion).passed


def test_images_without_any_gradient_count_as_equal() -> None:
    exact = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)), size=8)
    exact.network[1].weight.data.zero_()  # type: ignore[index,operator]
    result = gate(exact, copy.deepcopy(exact), images(4), labels(4, 3))
    assert (result.cosine, result.equal_signs) == (1, 1)


def test_the_reason_names_every_limit() -> None:
    result = GateResult(100, REDUCED, 0.5, 6, 0.1, 0.1, 0.1)
    assert result.reason.count(";") == 4
    assert GateResult(100, REDUCED, 0.1, 5, 0.9, 0.96, 0.95).passed
