"""Encoded pictures (JPEG, PNG, ...) from any source, image sets of them, and the data set of any folder of them."""

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from sat_exp import files
from sat_exp.datasets.canvas import Canvas, Mode
from sat_exp.datasets.data_set import DataSet
from sat_exp.datasets.image_set import ImageSet
from sat_exp.errors import UserError, explained
from sat_exp.settings.types import FilePath, Images, Seed, Side, Text

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
DEEP = ("I", "F")  # Pillow's modes of more than 8 bits; it would clip them, not scale them
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""The formats that are decoded, whatever a file's name. Pillow's others are rare, and one of them runs a program."""

MOST_BYTES = 1 << 28  # the largest encoded picture
NUMBER = re.compile(r"(\d+)")
UNNAMEABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that tables and pages cannot show, or that UTF-8 lacks."""


def natural_key(name: str) -> list[int | str]:
    """The key of natural order: 2 before 10, capital letters as small ones. As timm orders the classes of a folder."""
    return [int(part) if part.isdigit() else part for part in NUMBER.split(name.lower())]


@dataclass(frozen=True)
class Picture:
    """An encoded image. id: its name within the set. place: its name in errors. label: its class index, if any."""

    id: str
    place: str
    label: int | None
    read: Callable[[], bytes]


def picture_file(id: str, path: Path, label: int | None) -> Picture:
    """The picture in the file at `path`."""
    return Picture(id, str(path), label, partial(read_bytes, path))


def picture_set(
    name: str, label_space: str | None, class_names: tuple[str, ...], pictures: Sequence[Picture], canvas: Canvas
) -> ImageSet:
    """The image set of `pictures`, in the order of their ids; unlabelled where the pictures are."""
    ordered = sorted(pictures, key=lambda picture: picture.id)
    for title in (name, label_space or "", *class_names, *(picture.id for picture in ordered)):
        if UNNAMEABLE.search(title):
            raise UserError(f"{title} in {name} has characters that cannot be shown in its name: give it another")
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise UserError(f"two images of {name} are called {first.id}, {first.place} and {second.place}: keep one")
    labels = [picture.label for picture in ordered]
    return ImageSet(
        name=name,
        label_space=label_space,
        class_names=class_names,
        ids=tuple(picture.id for picture in ordered),
        labels=None if None in labels else np.array(labels, dtype=np.int64),
        canvas=canvas,
        image=lambda index: decode(ordered[index].read(), ordered[index].place),
        contents=lambda index: hashlib.sha256(ordered[index].read()).hexdigest(),
    )


def files_below(root: Path) -> list[PurePosixPath]:
    """The paths, relative to `root`, of the pictures at any depth, in natural order (2 before 10). Hidden files and
    folders are left out, links are followed. UserError for a link to a folder that contains it, which would not end."""
    found: list[PurePosixPath] = []
    above = {str(root): frozenset([os.path.realpath(root)])}
    for place, folders, names in os.walk(root, followlinks=True):
        known = above.pop(place)
        for name in folders:
            inner = f"{place}{os.sep}{name}"
            real = os.path.realpath(inner)
            if real in known:
                raise UserError(f"{inner} is a link to a folder that contains it: remove it")
            above[inner] = known | {real}
        below = PurePosixPath(os.path.relpath(place, root))
        found += [below / name for name in names if name.lower().endswith(SUFFIXES)]
    return sorted(filter(visible, found), key=lambda path: natural_key(str(path)))


def visible(path: PurePosixPath) -> bool:
    """Whether no part of `path` is hidden or leads upwards."""
    return not any(part.startswith(".") for part in path.parts)


def decode(contents: bytes, place: str) -> Image.Image:
    """The image encoded in `contents`; UserError, naming `place`, when it is damaged, truncated or not 8-bit."""
    with explained(f"{place} is not a readable 8-bit image", "replace it or take it out"):
        image = Image.open(BytesIO(contents), formats=FORMATS)
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise ValueError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels")
        image.load()
        if image.mode.startswith(DEEP):
            raise ValueError(f"more than 8 bits a channel, mode {image.mode}")
    return image


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of at most `MOST_BYTES`; UserError for anything else, such as a pipe."""
    try:
        return files.contents(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): replace it or take it out") from error


class Folder(DataSet):
    """The pictures in `root`, at any depth, in the order of their paths.

    The label of a picture is the name of its folder. Classes are in natural order (2 before 10, by timm). No picture is
    labelled where `root` itself has one. `label_space` defaults to the name of `root`.
    """

    def __init__(
        self,
        root: FilePath | None,
        size: Images | None,
        seed: Seed,
        ids: FilePath | None = None,
        label_space: Text | None = None,
        resize: Side = 256,
        crop: Side = 224,
        mode: Mode = "RGB",
    ) -> None:
        self.canvas, self.label_space = Canvas(resize, crop, mode=mode), label_space
        super().__init__(root, size, seed, ids)

    def read(self, root: str | None) -> ImageSet:
        if root is None:
            raise UserError("dataset=folder needs a folder: give dataset.root=FOLDER with images, or folders of them")
        folder = Path(str(root)).expanduser().absolute()
        if not folder.is_dir():
            raise UserError(f"dataset.root={root} is no folder: give one with images, or with a folder for each class")
        paths = files_below(folder)
        if not paths:
            raise UserError(f"no images ({', '.join(SUFFIXES)}) in {folder}: give another dataset.root=FOLDER")
        names = sorted({path.parent.name for path in paths}, key=natural_key)
        labels = {} if "" in names else {name: index for index, name in enumerate(names)}
        pictures = [picture_file(str(path), folder / path, labels.get(path.parent.name)) for path in paths]
        space = self.label_space or folder.name if labels else None
        return picture_set(folder.name, space, tuple(labels), pictures, self.canvas)
