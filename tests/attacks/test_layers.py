"""The layers that ILPD changes."""

import pytest
import torch
from torch import nn

from sat_exp.attacks import ILPD
from sat_exp.attacks.layers import hooked, middle, named
from sat_exp.errors import UserError


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, values):
        return values + self.second(self.first(values))


class Stacked(nn.Module):
    """Two stages of two residual blocks, and a head through which no input simply passes: 9 leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Sequential(Residual(), Residual()) for _ in range(2))
        self.head = nn.Linear(4, 2)

    def forward(self, pixels):
        return self.head(self.second(self.first(pixels.flatten(1))).relu())


def name_of(network: nn.Module, layer: nn.Module) -> str:
    return next(name for name, module in network.named_modules() if module is layer)


def test_the_middle_is_between_residual_blocks():
    """The first stage ends at leaf 4 of 9, as its last block does, which is inside of it."""
    network = Stacked()
    assert name_of(network, middle(network, lambda: network(torch.zeros(1, 1, 2, 2)))) == "first"
    network.first = nn.Sequential(Residual())
    assert name_of(network, middle(network, lambda: network(torch.zeros(1, 1, 2, 2)))) == "second.0"


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("resnet18", "layer2"),
        ("vit_tiny_patch16_224", "blocks.5"),
        ("convnext_atto", "stages.2.blocks.1"),  # after 6 of 12 blocks
    ],
)
def test_the_middle_of_published_networks(architecture, layer):
    import timm

    with torch.device("meta"):
        network, image = timm.create_model(architecture).eval(), torch.zeros(1, 3, 224, 224)
    assert name_of(network, middle(network, lambda: network(image))) == layer


def test_no_middle_is_an_error():
    class Flat(nn.Module):
        def forward(self, pixels):
            return pixels.flatten(1)

    network = Flat()
    with pytest.raises(UserError, match=r"give attack\.layer"):
        middle(network, lambda: network(torch.zeros(1, 1, 2, 2)))


def test_wrong_layers_are_named():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2)).requires_grad_(False)
    with pytest.raises(UserError, match=r"attack\.layer=7: the network has no such layer; near it: 0, 1, 2"):
        named(network, "7")
    twice = nn.Linear(4, 4)
    network = nn.Sequential(nn.Flatten(), twice, twice).requires_grad_(False)
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(UserError, match="called 2 times"):
        ILPD(8, layer="1")(network, images, torch.tensor([0, 1]), torch.arange(2))
    with pytest.raises(UserError, match=r"give it a torch\.nn\.Module"):
        ILPD(8)(lambda pixels: pixels.flatten(1), images, torch.tensor([0, 1]), torch.arange(2))


def test_no_hook_is_left():
    layer = nn.Linear(2, 2)
    with pytest.raises(ZeroDivisionError), hooked(layer, lambda output: None):
        raise ZeroDivisionError
    with hooked(layer, lambda output: output + 1):
        raised = layer(torch.zeros(1, 2))
    assert torch.equal(raised, layer(torch.zeros(1, 2)) + 1)
