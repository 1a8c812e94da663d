"""Folding of batch normalisation: the same function, and nothing folded that is used otherwise."""

import pytest
import timm
import torch
from torch import Tensor, nn

from sat_exp.models import Classifier
from sat_exp.numerics import gate
from sat_exp.numerics.folding import folded, pairs

from .networks import classifier, images, labels, normalised

FOLDED = {  # timm's name → batch normalisations, and how many of them follow a convolution
    "resnet18": (20, 20),
    "mobilenetv3_small_050": (34, 34),
    "tf_efficientnet_lite0": (49, 49),  # Conv2dSame
    "regnety_002": (44, 44),
    "densenet121": (121, 59),
    "convnext_atto": (0, 0),
}


def count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_network_computes_the_same(name: str) -> None:
    exact = classifier(timm.create_model(name, num_classes=10))
    before = {key: value.clone() for key, value in exact.state_dict().items()}
    fast = folded(exact)
    assert count(exact.network) == FOLDED[name][0]
    assert count(fast.network) == FOLDED[name][0] - FOLDED[name][1]
    result = gate(exact, fast, images(8), labels(8), gradients=name != "densenet121")
    assert result.passed, result.reason
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert exact.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in exact.state_dict().items())


class Block(nn.Module):
    """A convolution and a normalisation, used in one of several ways."""

    def __init__(self, use: str) -> None:
        super().__init__()
        self.conv, self.bn, self.other, self.use = (
            nn.Conv2d(3, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 3, 1),
            use,
        )
        if use == "two names":
            self.again = self.bn
        if use == "hook":
            self.conv.register_forward_hook(lambda module, inputs, output: output + 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.use == "between":
            y = y.relu()
        if self.use == "in place":
            y.relu_()
        z = self.bn(y)
        if self.use == "skip":
            z = z + y
        if self.use == "view":
            z = z + y.flatten(1).mean()
        if self.use == "two inputs":
            z = z + self.bn(self.other(x))
        if self.use == "two calls":
            z = z + self.conv(x.flip(-1))
        return z.mean(dim=(2, 3))


@pytest.mark.parametrize("use", ["between", "in place", "skip", "view", "two inputs", "two calls", "two names", "hook"])
def test_what_is_used_otherwise_is_left(use: str) -> None:
    exact = classifier(Block(use), size=8)
    assert pairs(exact) == []
    assert gate(exact, folded(exact), images(4), labels(4, 3)).logit_error == 0


def test_a_plain_block_is_folded() -> None:
    exact = classifier(Block("plain"), size=8)
    assert pairs(exact) == [("conv", "bn")]
    assert gate(exact, folded(exact), images(4), labels(4, 3)).passed


@pytest.mark.parametrize("bn", [nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, track_running_stats=False)])
@pytest.mark.parametrize("bias", [True, False])
def test_normalisations_without_parameters_or_statistics(bn: nn.BatchNorm2d, bias: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3, bias=bias), bn, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    exact = classifier(network, size=8)
    assert len(pairs(exact)) == (bn.running_var is not None)
    assert gate(exact, folded(exact), images(4), labels(4, 3)).passed


def test_weights_that_are_standardised_at_every_call_are_left() -> None:
    network = nn.Sequential(timm.layers.StdConv2d(3, 3, 3), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert pairs(classifier(normalised(network), size=8)) == []


def test_the_copy_is_a_classifier_of_the_same_preprocessing() -> None:
    exact = classifier(Block("plain"), size=8)
    fast = folded(exact)
    assert isinstance(fast, Classifier)
    assert (fast.size, fast.interpolation) == (exact.size, exact.interpolation)
    assert torch.equal(fast.mean, exact.mean)
