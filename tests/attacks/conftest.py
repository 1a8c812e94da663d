"""A small network that is trained on real images: scikit-learn's 1,797 handwritten digits of 8×8 pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from sat_exp.models.classifier import Classifier


@dataclass(frozen=True)
class Digits:
    """`images` uint8 [N, 1, 8, 8] and `labels` int64 [N] that the frozen classifier gets right."""

    classifier: Classifier
    images: Tensor
    labels: Tensor


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


@pytest.fixture(scope="session")
def digits() -> Digits:
    data = load_digits()
    images = torch.from_numpy(np.rint(data.images * 255 / 16).astype(np.uint8)[:, None])
    labels = torch.from_numpy(data.target)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = Classifier(network(), size=8, mean=[0.3], std=[0.4], interpolation="bilinear")
        optimiser = torch.optim.AdamW(classifier.parameters(), lr=3e-3)
        for _ in range(12):
            for batch in torch.randperm(1200).split(100):
                loss = F.cross_entropy(classifier(images[batch] / 255), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    classifier.freeze()
    held_out, truth = images[1200:], labels[1200:]
    right = classifier(held_out / 255).argmax(1) == truth
    assert right.float().mean() > 0.9
    return Digits(classifier, held_out[right], truth[right])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that holds these tests."""
    return Path(__file__).parents[2]
