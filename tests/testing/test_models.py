"""The conformance check of models: the bundled ones pass, and every planted defect is found."""

import pytest
import torch
from torch import nn

from sat_exp.testing import check_model


class Mean(nn.Module):
    """A sound network of three classes for the defects below to spoil."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4))

    def forward(self, pixels):
        return pixels.flatten(2).mean(dim=2) @ self.weight[:, : pixels.shape[1]].T


class Sampled(Mean):
    def forward(self, pixels):
        return super().forward(pixels) + torch.rand(3)


class Batched(Mean):
    def forward(self, pixels):
        return super().forward(pixels - pixels.mean())


class Detached(Mean):
    def forward(self, pixels):
        return super().forward(pixels.detach())


class Rounded(Mean):
    def forward(self, pixels):
        return super().forward(pixels.mul(9).round())


class Counting(Mean):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, pixels):
        self.calls += 1
        return super().forward(pixels)


class Infinite(Mean):
    def forward(self, pixels):
        return super().forward(pixels) / 0


class Constant(Mean):
    def forward(self, pixels):
        return super().forward(0 * pixels)


def test_a_sound_model_passes():
    check_model(Mean().eval(), (2, 8, 8), 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Sampled, "a second call gives other logits"),
        (Batched, "logits depend on the batch"),
        (Detached, "logits have no gradient in the pixels"),
        (Rounded, "the gradient in the pixels is zero for an image"),
        (Counting, "evaluation changes calls"),
        (Infinite, "some logits are not finite"),
        (Constant, "all images have the same logits"),
    ],
)
def test_each_defect_is_found(model, message):
    with pytest.raises(AssertionError, match=message):
        check_model(model().eval(), (2, 8, 8), 3)


def test_other_classes_and_training_mode_are_found():
    with pytest.raises(AssertionError, match=r"shape \(4, 3\), not \(4, 4\)"):
        check_model(Mean().eval(), (2, 8, 8), 4)
    with pytest.raises(AssertionError, match="training mode"):
        check_model(Mean(), (2, 8, 8), 3)
