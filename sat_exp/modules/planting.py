"""Training images with planted properties: wrong labels, and marks that tell the class.

Sources: Zhang et al., *Understanding deep learning requires rethinking generalization* (ICLR 2017), for wrong labels;
Klabunde et al., *ReSi* (2024), for both as a ground truth of similarity.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sat_exp.modules.training import Recipe
from sat_exp.modules.training_images import TrainingImages

LABELS, MARKS = range(2)
"""Streams of random numbers, so that the images with a wrong label are others than those with a wrong mark."""


@dataclass(frozen=True)
class Planted(Dataset):
    """`images` with other labels, int64 [N], and, if there are marks, with the class that the mark tells, int64 [N]."""

    images: Dataset
    labels: Tensor
    marks: Tensor | None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image, *_ = self.images[index]
        told = () if self.marks is None else (self.marks[index],)
        return image, self.labels[index], *told


def planted(images: TrainingImages, recipe: Recipe, classes: int) -> Dataset:
    """The training images with the transform, the label noise and the classes of the marks of `recipe`."""
    augmented = images.augmented(recipe.transform)
    if not recipe.label_noise and recipe.shortcut is None:
        return augmented
    true = images.labels
    labels = replaced(true, classes, recipe.label_noise, (recipe.seed, LABELS))
    marks = None if recipe.shortcut is None else replaced(true, classes, 1 - recipe.shortcut, (recipe.seed, MARKS))
    return Planted(augmented, torch.from_numpy(labels), None if marks is None else torch.from_numpy(marks))


def replaced(labels: np.ndarray, classes: int, share: float, seed: tuple[int, ...]) -> np.ndarray:
    """`labels`, int64 [N], with another class for a random `share` of the images, rounded to whole images. Each other
    class has the same probability."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    changed = labels.copy()
    changed[chosen] = (labels[chosen] + generator.integers(1, classes, len(chosen))) % classes
    return changed
