"""Encoded pictures (JPEG, PNG, ...), wherever their bytes lie, and the image set made of them."""

import hashlib
import math
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from timm.data.readers.reader_image_folder import ReaderImageFolder

from sat_exp.datasets.canvas import Canvas
from sat_exp.datasets.image_set import ImageSet
from sat_exp.errors import UserError, one_line

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
DEEP = ("I", "F")  # Pillow's modes of more than 8 bits, which it would clip rather than scale
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded, whatever a file is called. Pillow's other formats are rare, and one of them runs a program."""

MOST_BYTES = 1 << 28
"""Of an encoded picture."""

UNNAMEABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What tables and pages cannot show, or no file in UTF-8 can hold."""


@dataclass(frozen=True)
class Picture:
    """An encoded image: its name within the set, what an error calls it, its class index if any, and its bytes."""

    id: str
    place: str
    label: int | None
    read: Callable[[], bytes]


def picture_file(id: str, path: Path, label: int | None) -> Picture:
    """The picture in the file at `path`."""
    return Picture(id, str(path), label, partial(read_bytes, path))


def picture_set(
    name: str,
    label_space: str | None,
    class_names: tuple[str, ...],
    pictures: Sequence[Picture],
    canvas: Canvas,
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
    """The names within `root` of the pictures in it, at any depth, in timm's order; hidden files and folders are passed
    over, links followed. UserError for a link to a folder that it lies in."""
    check_links(root)
    try:
        names = ReaderImageFolder(str(root), input_key=";".join(SUFFIXES)).filenames()
    except RuntimeError:  # timm's word for none
        return []
    return visible(names)


def check_links(root: Path) -> None:
    """UserError for a link below `root` to a folder that it lies in, which has no end."""
    above = {str(root): frozenset([os.path.realpath(root)])}
    for place, folders, _ in os.walk(root, followlinks=True):
        known = above.pop(place)
        for name in folders:
            inner = f"{place}{os.sep}{name}"
            real = os.path.realpath(inner)
            if real in known:
                raise UserError(f"{inner} is a link to a folder that it lies in: remove it")
            above[inner] = known | {real}


def visible(names: Sequence[str]) -> list[PurePosixPath]:
    """`names` as paths, without those that are hidden or lie in a hidden folder."""
    paths = [PurePosixPath(name) for name in names]
    return [path for path in paths if not any(part.startswith(".") for part in path.parts)]


def decode(contents: bytes, place: str) -> Image.Image:
    """The image encoded in `contents`; UserError, naming `place`, when it is damaged, truncated or not 8-bit."""
    try:
        image = Image.open(BytesIO(contents), formats=FORMATS)
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise ValueError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels")
        image.load()
        if image.mode.startswith(DEEP):
            raise ValueError(f"more than 8 bits a channel, mode {image.mode}")
    except Exception as error:
        raise UserError(
            f"{place} is not a readable 8-bit image ({one_line(error)}): replace it or take it out"
        ) from error
    return image


def read_bytes(path: Path) -> bytes:
    """The bytes of the file at `path`; UserError for what is no file, such as a pipe."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MOST_BYTES:
            raise UserError(f"{path} is no file of at most {MOST_BYTES:,} bytes: replace it or take it out")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): replace it or take it out") from error
