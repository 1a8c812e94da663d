"""Labelled sets that torchvision downloads and reads, their test images: Flowers-102, CIFAR-10 and CIFAR-100."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from lightning import LightningDataModule
from PIL import Image

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.downloading import downloaded
from sat_exp.datasets.image_set import ImageSet
from sat_exp.datasets.pictures import picture_file, picture_set
from sat_exp.errors import UserError, one_line


class Flowers102(LightningDataModule):
    """The 6,149 test images of Flowers-102 (Nilsback & Zisserman 2008), 102 kinds of flowers, 20 to 238 images each.

    Downloaded once into `root` (default: the user's cache folder).
    """

    def __init__(
        self,
        root: str | None,
        size: int | None,
        seed: int,
        ids: str | None = None,
        resize: int = 256,
        crop: int = 224,
    ) -> None:
        super().__init__()
        folder = "flowers-102"
        parent = downloaded(
            "Flowers-102 (350 MB)",
            root,
            folder,
            lambda partial: torchvision.datasets.Flowers102(partial, split="test", download=True),
        )
        flowers = opened(
            parent / folder, lambda: torchvision.datasets.Flowers102(str(parent), split="test", loader=Path)
        )
        files = [flowers[index] for index in range(len(flowers))]
        pictures = [picture_file(path.name, path, label) for path, label in files]
        names = tuple(torchvision.datasets.Flowers102.classes)
        self.images = picture_set("flowers102", "flowers102", names, pictures, Canvas(resize, crop)).choose(
            size, seed, ids
        )


class CIFAR10(LightningDataModule):
    """The 10,000 test images of CIFAR-10 (Krizhevsky 2009), ten classes, 32×32 pixels as they are.

    Downloaded once into `root` (default: the user's cache folder).
    """

    def __init__(self, root: str | None, size: int | None, seed: int, ids: str | None = None) -> None:
        super().__init__()
        self.images = cifar("cifar10", torchvision.datasets.CIFAR10, root).choose(size, seed, ids)


class CIFAR100(LightningDataModule):
    """The 10,000 test images of CIFAR-100 (Krizhevsky 2009), a hundred classes, 32×32 pixels as they are.

    Downloaded once into `root` (default: the user's cache folder).
    """

    def __init__(self, root: str | None, size: int | None, seed: int, ids: str | None = None) -> None:
        super().__init__()
        self.images = cifar("cifar100", torchvision.datasets.CIFAR100, root).choose(size, seed, ids)


def cifar(name: str, read: Callable[..., Any], root: str | None) -> ImageSet:
    """The test images that `read`, a set of torchvision's, finds in `root`."""
    folder = read.base_folder  # type: ignore[attr-defined]
    parent = downloaded(f"{name} (170 MB)", root, folder, lambda partial: read(partial, train=False, download=True))
    test = opened(parent / folder, lambda: read(str(parent), train=False))
    pixels = test.data
    return ImageSet(
        name=name,
        label_space=name,
        class_names=tuple(test.classes),
        ids=tuple(f"test-{index:05d}" for index in range(len(pixels))),
        labels=np.array(test.targets, dtype=np.int64),
        canvas=Canvas(*pixels.shape[1:3]),
        image=lambda index: Image.fromarray(pixels[index]),
        contents=lambda index: hashlib.sha256(pixels[index].tobytes()).hexdigest(),
    )


def opened(folder: Path, read: Callable[[], Any]) -> Any:
    """What `read` makes of `folder`; UserError when a file in it is not the published one."""
    try:
        return read()
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{folder} is not the published set ({one_line(error)}): remove it, to download it again"
        ) from error
