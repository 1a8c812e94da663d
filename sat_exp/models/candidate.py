"""A model before it is loaded: one interface for models that a configuration describes and models given in Python."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sat_exp.models import components
from sat_exp.models.classifier import Classifier

Interpolation = Literal["bicubic", "bilinear"]  # the resizing with antialiasing that PyTorch has gradients for


@dataclass(frozen=True)
class Preprocessing:
    """The images that a network takes. size: height and width in pixels. mean, std: one number per channel, for pixels
    in [0, 1]. crop: the fraction of the side that the centre crop of its evaluation keeps."""

    size: int
    mean: list[float]
    std: list[float]
    interpolation: Interpolation = "bicubic"
    crop: float = 1.0

    @classmethod
    def of_timm(cls, facts: Mapping[str, Any]) -> "Preprocessing":
        """That of timm's `pretrained_cfg` or `data_config`; KeyError where it lacks one of the facts."""
        mean, std = list(facts["mean"]), list(facts["std"])
        return cls(facts["input_size"][-1], mean, std, facts["interpolation"], facts["crop_pct"])


@dataclass(frozen=True)
class Model:
    """A classifier, ready to be attacked. Models with the same `fingerprint`, a SHA-256, compute the same function."""

    name: str
    family: str
    label_space: str
    pretrained: bool
    parameters: int
    fingerprint: str
    classifier: Classifier


class Candidate(ABC):
    """A model that can be measured.

    label_space, classes: the name and the number of the classes that it predicts. parameters: the number of its
    weights, 0 where only loading tells it.
    """

    name: str
    family: str
    label_space: str
    classes: int
    pretrained: bool
    parameters: int

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Plain values that describe the model, for the summary of a run and for locks between processes."""

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """The images that its network takes; UserError where that is not known."""

    @property
    def stated_components(self) -> dict[str, Any]:
        """The architectural components that are stated rather than derived."""
        return {}

    @abstractmethod
    def network(self) -> nn.Module:
        """Its network, on the current default device of torch or on the CPU; perhaps untrained."""

    def flops(self) -> int:
        """Multiply-adds of convolutions, matrix products and attention for one image, without computing anything: 4.1e9
        for a ResNet-50. Papers call them FLOPs."""
        own = self.preprocessing
        with torch.device("meta"), torch.no_grad():
            network = self.network().to("meta").eval()
            with FlopCounterMode(display=False) as counter:
                network(torch.empty(1, len(own.mean), own.size, own.size))
        return counter.get_total_flops() // 2

    @abstractmethod
    def load(self) -> Model:
        """The model on the CPU, frozen; UserError where it cannot be loaded."""

    def components(self, network: nn.Module) -> dict[str, Any]:
        """The 13 components: those that are stated, the others derived from `network`; UserError where that fails."""
        stated = self.stated_components
        if stated.keys() >= set(components.COMPONENTS):
            return stated
        own = self.preprocessing
        return components.derive(network, len(own.mean), own.size) | stated
