"""The images that networks are trained and tested on."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sat_exp.datasets import Canvas, ImageSet
from sat_exp.errors import UserError, one_line
from sat_exp.settings import build
from sat_exp.settings.targets import resolve

PROBED = 1000  # the number of photographs, evenly spaced, whose contents are in the digest of a set

WHOLE = {"size": None, "ids": None}
"""The settings that choose all images of a data set: its subset is for attacks."""

FOR_PHOTOGRAPHS = "task.transform= is for photographs, given by task.training_root=FOLDER: leave it out"


@dataclass
class Photographs(Dataset):
    """The images of a set, decoded on access: uint8 [C, H, W] and label. transform: arguments of
    timm.data.create_transform, applied at random on each access; None for the canvas pixels."""

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
    """timm's transform for training with `settings`, on images of `canvas`. UserError where timm refuses the settings,
    or where it fails on an image or does not return uint8 [C, H, W]."""
    arguments: dict[str, Any] = {"input_size": canvas.crop, "interpolation": "bicubic"} | settings
    failure: Exception | None = None
    with isolate_rng(include_cuda=False):  # it restores nothing when an exception leaves its body
        try:
            apply = create_transform(**arguments, is_training=True, normalize=False)
            made = apply(Image.new(canvas.mode, (canvas.resize, canvas.resize)))
            if not (isinstance(made, Tensor) and made.dtype == torch.uint8 and made.ndim == 3):
                raise ValueError("it does not return a uint8 image")
            if len(made) != canvas.shape[0]:
                raise ValueError(f"it returns {len(made)} channels")
        except Exception as error:
            failure = error
    if failure is not None:
        raise UserError(f"timm cannot apply transform={settings}: {one_line(failure)}") from failure
    return apply


def check_source(config: DictConfig, root: str | None, transforms: Iterable[dict[str, Any] | None]) -> None:
    """UserError where a data set has no training images of its own and `root`, a folder of them, is None, and where one
    of `transforms` cannot be applied to them."""
    given, canvas = [settings for settings in transforms if settings is not None], None
    if root is None:
        training = with_training_images(config).train_dataloader().dataset
        canvas = training.images.canvas if isinstance(training, Photographs) else None
    elif given:
        canvas = build(config, "dataset", **WHOLE).images.canvas
    for settings in given:
        if canvas is None:
            raise UserError(FOR_PHOTOGRAPHS)
        transformation(settings, canvas)


def with_training_images(config: DictConfig) -> Any:
    """The data set of `config`; UserError where its class has no training images."""
    kind = resolve(config._target_, "dataset", "dataset._target_")
    given = getattr(kind, "train_dataloader", None)
    if given in (None, LightningDataModule.train_dataloader):
        raise UserError(f"{kind.__name__} has no training images: give task.training_root=FOLDER with training images")
    return build(config, "dataset", **WHOLE)


@dataclass(frozen=True)
class TrainingImages:
    """training, test: data sets of uint8 images [C, H, W] and labels. workers: processes that decode photographs."""

    training: Dataset
    test: Dataset
    label_space: str | None
    workers: int = 0

    @classmethod
    def of(cls, config: DictConfig, root: str | None, workers: int) -> "TrainingImages":
        """The training and test images of a data set; UserError where it has no training images. root: a folder of
        training images, in any layout of the data set, all of whose own images are then test images; or None."""
        if root is not None:
            training, test = (build(config, "dataset", **WHOLE | at).images for at in ({"root": root}, {}))
            if training.class_names != test.class_names:
                raise UserError(f"the classes in {root} are not those of {test.name}: give its own training images")
            return cls(Photographs(training), Photographs(test), test.label_space, workers)
        data = with_training_images(config)
        return cls(data.train_dataloader().dataset, data.val_dataloader().dataset, data.images.label_space)

    def augmented(self, transform: dict[str, Any] | None) -> Dataset:
        """The training images, with timm's `transform` on each access; UserError for other images than photographs."""
        if transform is None:
            return self.training
        if not isinstance(self.training, Photographs):
            raise UserError(FOR_PHOTOGRAPHS)
        return Photographs(self.training.images, transform)

    @property
    def labels(self) -> np.ndarray:
        """The labels of the training images, int64 [N]."""
        if isinstance(self.training, TensorDataset):
            return self.training.tensors[1].numpy()
        return np.asarray(self.training.images.labels)  # type: ignore[attr-defined]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all pixels and labels. Photographs are too many to read: for these, over the canvas, ids, labels
        and the contents of at most `PROBED`."""
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
        """`training` shuffled, in batches of exactly `size` images; an incomplete last batch is dropped."""
        return DataLoader(training, size, shuffle=True, drop_last=True, num_workers=self.workers)

    def test_batches(self, size: int) -> DataLoader:
        return DataLoader(self.test, size, num_workers=self.workers)


@dataclass(frozen=True)
class Source:
    """Where training images come from: settings, from which any process makes the same images. settings: of the data
    set. root, workers: see `TrainingImages.of`."""

    settings: dict[str, Any]
    root: str | None
    workers: int

    @cached_property
    def images(self) -> TrainingImages:
        return TrainingImages.of(OmegaConf.create(self.settings), self.root, self.workers)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "images"}
