"""ILPD: intermediate-level perturbation decay (Li et al., NeurIPS 2023)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sat_exp.attacks import random
from sat_exp.attacks.layers import hooked, middle, named
from sat_exp.attacks.momentum import MI, State, Steps
from sat_exp.errors import UserError
from sat_exp.settings.types import NonNegative, Share, Text


@dataclass(frozen=True)
class ILPD(MI):
    """MI, where the output h(x) of a layer is replaced by share · h(x) + (1 − share) · h(x₀ + noise · ξ).

    x₀ is the clean image, ξ is normal with other numbers in each step, and share is 1/γ in the paper (equation 5).
    layer: its dotted name in the network; None for the one at half of the depth, see `layers.middle`. noise: in units
    of 1/255.
    """

    steps: Steps = 100
    share: Share = 0.1
    noise: NonNegative = 12.75
    layer: Text | None = None
    version: ClassVar[int] = 1

    def estimate(self, at: State) -> Tensor:
        if not at.step:
            at.kept = at.x, self.module(at)
        clean, module = at.kept
        noisy = clean + self.noise * random.normal(at.seeds, at.x.shape[1:], at.stream(0))
        kept: list[Tensor] = []
        with torch.no_grad(), hooked(module, lambda output: kept.append(output.clone())):
            at.classifier(noisy / 255)
        with hooked(module, lambda output: self.share * output + (1 - self.share) * kept[0]):
            return at.gradient(at.x)

    def module(self, at: State) -> nn.Module:
        classifier = at.classifier
        if not isinstance(classifier, nn.Module):
            raise UserError("ILPD changes a layer of the network: give it a torch.nn.Module")
        network = getattr(classifier, "network", classifier)
        if self.layer is None:
            return middle(network, lambda: classifier(at.x[:1] / 255))
        return named(network, self.layer)
