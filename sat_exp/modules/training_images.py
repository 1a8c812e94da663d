"""What networks are trained and tested on."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from omegaconf import DictConfig
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sat_exp.datasets import Canvas, ImageSet
from sat_exp.errors import UserError, one_line
from sat_exp.settings import build
from sat_exp.settings.targets import resolve

PROBED = 1000
"""Photographs of a set whose contents are in its digest, evenly spaced."""


@dataclass
class Photographs(Dataset):
    """The images of a set, each decoded when it is asked for: uint8 [C, H, W] and its label.

    transform: arguments of timm.data.create_transform, applied at random each time; without it the canvas pixels.
    """

    images: ImageSet
    transform: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.images.labels is None:
            raise UserError(f"{self.images.name} has no labels: nothing can be trained on it")
        self.apply = None if self.transform is None else transformation(self.transform, self.images.canvas)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        label = int(self.images.labels[index])  # type: ignore[index]
        if self.apply is None:
            return torch.from_numpy(self.images.read(index)), label
        return self.apply(self.images.image(index).convert(self.images.canvas.mode)), label


def transformation(settings: dict[str, Any], canvas: Canvas) -> Callable[[Image.Image], Tensor]:
    """What timm.data.create_transform makes of `settings`, for training on images of `canvas`; UserError where that is
    nothing, fails on an image, or gives something else than uint8 [C, H, W]."""
    whole: dict[str, Any] = {"input_size": canvas.crop, "interpolation": "bicubic"} | settings
    try:
        apply = create_transform(**whole, is_training=True, normalize=False)
        with torch.random.fork_rng(devices=[]), kept_random():
            made = apply(Image.new(canvas.mode, (canvas.resize, canvas.resize)))
        if not isinstance(made, Tensor) or made.dtype != torch.uint8 or made.ndim != 3 or len(made) != canvas.shape[0]:
            raise ValueError("it gives no image of whole numbers")
    except Exception as error:
        raise UserError(f"transform={settings} is nothing timm can do: {one_line(error)}") from error
    return apply


@contextmanager
def kept_random() -> Iterator[None]:
    """Within the body random numbers of Python and NumPy are drawn, and afterwards as if they had not been."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def check_source(config: DictConfig, root: str | None) -> None:
    """UserError where a data set brings no training images and no folder `root` of them is given."""
    kind = resolve(config._target_, "dataset", "dataset._target_")
    if root is None and kind.train_dataloader is LightningDataModule.train_dataloader:  # type: ignore[attr-defined]
        raise UserError(f"{kind.__name__} brings no training images: give task.training_root=FOLDER that holds them")


@dataclass(frozen=True)
class TrainingImages:
    """training, test: sets of uint8 images [C, H, W] and labels. label_space: that of models trained on them.
    workers: processes that decode photographs."""

    training: Dataset
    test: Dataset
    label_space: str | None
    workers: int = 0

    @classmethod
    def of(cls, config: DictConfig, root: str | None, workers: int) -> "TrainingImages":
        """Those of a data set that brings its own training images; of another, the images in the folder `root`, in any
        layout that the data set takes, to train on, and all that it has itself to test on.

        UserError where there is nothing to train on.
        """
        if root is not None:
            training, test = (
                build(config, "dataset", **whole | {"size": None, "ids": None}).images for whole in ({"root": root}, {})
            )
            if training.class_names != test.class_names:
                raise UserError(f"the classes in {root} are not those of {test.name}: give its own training images")
            return cls(Photographs(training), Photographs(test), test.label_space, workers)
        check_source(config, None)
        data = build(config, "dataset")
        return cls(data.train_dataloader().dataset, data.val_dataloader().dataset, data.images.label_space)

    def augmented(self, transform: dict[str, Any] | None) -> Dataset:
        """The training images, each time they are asked for as timm's `transform` makes them; UserError for one of
        images that are no photographs."""
        if transform is None:
            return self.training
        if not isinstance(self.training, Photographs):
            raise UserError("transform= is for photographs, given by task.training_root=FOLDER: leave it out")
        return Photographs(self.training.images, transform)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what is trained and tested on: pixels and labels; of photographs, which are too many to read,
        the canvas, ids, labels, and the contents of up to PROBED."""
        parts: list[bytes] = []
        for images in (self.training, self.test):
            if isinstance(images, TensorDataset):
                parts += [tensor.numpy().tobytes() for tensor in images.tensors]
            else:
                known: ImageSet = images.images  # type: ignore[attr-defined]
                probed = np.unique(np.linspace(0, len(known) - 1, PROBED).astype(int))
                facts = [asdict(known.canvas), known.ids, [known.contents(int(index)) for index in probed]]
                parts += [json.dumps(facts).encode(), np.asarray(known.labels, "<i8").tobytes()]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def batches(self, training: Dataset, size: int) -> DataLoader:
        """`training`, these images or what is made of them, shuffled, in batches of which none is smaller."""
        return DataLoader(training, size, shuffle=True, drop_last=True, num_workers=self.workers)

    def test_batches(self, size: int) -> DataLoader:
        return DataLoader(self.test, size, num_workers=self.workers)
