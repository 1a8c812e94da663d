"""Features of every architecture: what the last layer takes; without such a layer, one line that names the model."""

import hydra
import pytest
import torch
from torch import nn

from sat_exp.errors import UserError
from sat_exp.models import Configured
from sat_exp.models.features import features_of
from sat_exp.names import CONF, files_of

BUNDLED = sorted(name for name in files_of("model") if name.startswith("fashion_"))
OTHERS = sorted(set(files_of("model")) - {*BUNDLED, "timm"})
FEW = ("resnet18", "squeezenet", "vit_tiny", "mobilenetv3_large", "deit_tiny_distilled", "resnetv2_50")
NOT_ITS_INPUT = {"deit_tiny_distilled", "crossvit_base", "squeezenet"}
"""Models that combine two classifiers, or average after the last layer."""


def candidate(name):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return Configured(hydra.compose("config", overrides=[f"model={name}"]).model)


def applied(network, features):
    """The logits that the last layer gives for features; maps of one position for a convolution."""
    last = network.get_classifier()
    if isinstance(last, nn.Conv2d):
        return last(features[:, :, None, None]).flatten(1)
    return last(features)


def check_on_meta(name):
    own = candidate(name)
    with torch.device("meta"), torch.no_grad():
        network = own.network().to("meta").eval()
        side = own.preprocessing.size
        images = torch.empty(2, len(own.preprocessing.mean), side, side)
        features = features_of(network, name)(images)
        assert features.ndim == 2
        assert len(features) == 2
        if name not in NOT_ITS_INPUT:
            assert applied(network, features).shape == (2, own.classes)


@pytest.mark.parametrize("name", FEW)
def test_architectures_of_several_kinds_have_features(name):
    check_on_meta(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_architecture_has_features(name):
    check_on_meta(name)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_classifier_gives_the_logits_of_a_bundled_network_for_its_features(name):
    own = candidate(name)
    network = own.load().classifier.network
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = features_of(network, name)(images)
        assert torch.allclose(applied(network, features), network(images), atol=1e-5)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        return self.last(self.first(images).relu().mean(dim=(2, 3)))


def test_those_of_another_network_are_the_input_of_the_last_layer_that_is_called():
    network, images = Plain().eval(), torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        features = features_of(network, "plain")(images)
        assert torch.equal(network.last(features), network(images))
    assert not network.last._forward_pre_hooks, "the hook stays"


def test_a_network_without_a_linear_layer_is_named():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match="model mine: it calls no linear layer"):
        features_of(network, "mine")(torch.rand(1, 3, 8, 8))
