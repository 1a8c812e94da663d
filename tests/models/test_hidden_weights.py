"""Weights that are no parameters, and layers that a forward pass does not call."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.errors import UserError
from sat_exp.models.components import derive

from .blocks import Block, network


class Held(nn.Module):
    """A convolution whose weight is a buffer, or with `kept` a parameter of its own that is mixed before use."""

    def __init__(self, given: int, made: int, *, groups: int = 1, kept: bool = False) -> None:
        super().__init__()
        weight = torch.randn(made, given // groups, 3, 3)
        if kept:
            self.experts = nn.Parameter(weight.flatten(1))
        else:
            self.register_buffer("weight", weight)
        self.shape, self.groups, self.kept = weight.shape, groups, kept

    def forward(self, image: Tensor) -> Tensor:
        weight = (2 * self.experts).view(self.shape) if self.kept else self.weight
        return F.conv2d(image, weight, padding=1, groups=self.groups)


class Projected(nn.Module):
    """A head whose weight is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(5, 8))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight)


def on_buffers(made: nn.Module) -> nn.Module:
    """The same network with every parameter a buffer."""
    for module in made.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    return made


HIDDEN = {
    "everything": (on_buffers(timm.create_model("resnet18", num_classes=5)), "no weights that are parameters"),
    "a convolution": (network(Held(3, 8), Block(8), Block(8)), "0 has weights that are no parameters"),
    "the head": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Projected()),
        "3 has weights",
    ),
}


@pytest.mark.parametrize(("made", "lacking"), HIDDEN.values(), ids=HIDDEN.keys())
def test_weights_that_are_no_parameters_are_not_guessed(made: nn.Module, lacking: str) -> None:
    """Nothing tells a fixed filter from a learned one that is kept as a buffer."""
    with pytest.raises(UserError, match="state all of components: in its model file") as caught:
        derive(made, 3, 64)
    assert lacking in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())


def test_a_network_that_calls_no_layer_is_not_guessed() -> None:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3 * 16, 5))

        def forward(self, image: Tensor) -> Tensor:
            return image.flatten(1) @ self.weight

    with pytest.raises(UserError, match="neither a convolution nor a linear layer was called"):
        derive(Products(), 3, 4)


def test_a_weight_made_of_parameters_is_learned() -> None:
    found = derive(network(Held(3, 8, kept=True), Block(8), Block(8)), 3, 32)
    assert (found["stem"], found["base_architecture"]) == ("3x3", "CNN")


class StarReLU(nn.Module):
    """s·relu(x)² + b under the name that says so."""

    def forward(self, image: Tensor) -> Tensor:
        return 0.9 * F.relu(image) ** 2 - 0.4


def test_an_activation_made_of_another_is_not_the_other() -> None:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3), StarReLU())
    assert derive(nn.Sequential(stem, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)), 3, 32)["activation"] == (
        "StarReLU"
    )
    mixed = nn.Sequential(stem, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    assert derive(mixed, 3, 32)["activation"] == "ReLU + StarReLU"
