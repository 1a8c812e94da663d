"""Classifiers and images for the tests of numerics."""

import torch
from torch import Tensor, nn

from sat_exp.models import Classifier


def normalised(network: nn.Module) -> nn.Module:
    """The network with random statistics and parameters in its batch normalisations, as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = [module.running_mean, module.running_var, module.weight, module.bias]
            for value, (low, high) in zip(values, [(-0.3, 0.3), (0.5, 2), (0.5, 1.5), (-0.3, 0.3)], strict=True):
                if value is not None:
                    value.data.uniform_(low, high, generator=generator)
    return network


def classifier(network: nn.Module, size: int = 64) -> Classifier:
    """A frozen classifier of images [3, size, size]."""
    torch.manual_seed(0)
    return Classifier(normalised(network), size=size, mean=[0.4] * 3, std=[0.3] * 3, interpolation="bilinear").freeze()


def images(count: int, channels: int = 3, side: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


def labels(count: int, classes: int = 10) -> Tensor:
    return torch.arange(count) % classes
