"""Images of Python objects, as an image set."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat_exp.datasets import Canvas, Folder, ImageSet
from sat_exp.datasets.canvas import Mode
from sat_exp.datasets.pictures import DEEP
from sat_exp.errors import UserError, one_line

EXACT = 1e-3  # the largest distance of a pixel value from a multiple of 1/255, in units of 1/255, that float32 explains

MODES: dict[int, Mode] = {1: "L", 3: "RGB"}
FORMS = (
    "give a tensor or an array [N, C, H, W] with C = 1 or 3, uint8 or float in [0, 1], a torch Dataset, a folder, or a "
    "data set of sat_exp.datasets"
)


@dataclass(frozen=True)
class Images:
    """An image set, and notes on what was changed in the images. fixed: its classes and labels are stated by a data set
    of this package; otherwise its classes are those of the models."""

    images: ImageSet
    notes: tuple[str, ...] = ()
    fixed: bool = False


def image_set(value: Any, labels: Any) -> Images:
    """The images of `sat_exp.measure`, with their labels; UserError for other forms, ranges or numbers of labels."""
    source = getattr(value, "images", value)
    if isinstance(source, ImageSet):
        found = Images(source, fixed=labels is None)
    elif isinstance(value, (str, Path)):
        found = Images(Folder(root=str(value), size=None, seed=0).images)
    elif hasattr(value, "__array__") or hasattr(value, "numpy"):
        found = of_array(as_array(value))
    elif hasattr(value, "__getitem__") and hasattr(value, "__len__"):
        found = of_dataset(value)
    else:
        raise UserError(f"{type(value).__name__} is no images: {FORMS}")
    return found if labels is None else replace(found, images=labelled(found.images, labels))


def labelled(images: ImageSet, labels: Any) -> ImageSet:
    """`images` with other labels, whole numbers from 0; UserError for another number of them."""
    values = np.asarray(as_array(labels))
    if values.shape != (len(images),) or values.dtype.kind not in "iu" or (len(values) and values.min() < 0):
        form = f"{values.dtype} {list(values.shape)}"
        raise UserError(f"labels are {form} for {len(images)} images: give one whole number from 0 for each image")
    return replace(images, labels=values.astype(np.int64), class_names=())


def as_array(value: Any) -> NDArray[Any]:
    """A tensor on any device, an array or a list as an array."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def of_array(pixels: NDArray[Any], labels: Sequence[int] | None = None) -> Images:
    """Images [N, C, H, W] or [N, H, W], uint8 or float in [0, 1]."""
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in MODES or 0 in pixels.shape:
        raise UserError(f"images of shape {list(pixels.shape)}: {FORMS}")
    _, channels, side, width = pixels.shape
    if side != width:
        raise UserError(f"images of {side} × {width} pixels: give squares, or a folder, whose images are cropped")
    stored, notes = quantised(pixels)
    mode = MODES[channels]

    def image(index: int) -> Image.Image:
        picture = stored[index]
        return Image.fromarray(picture[0] if mode == "L" else np.ascontiguousarray(picture.transpose(1, 2, 0)))

    found = ImageSet(
        name="images",
        label_space=None,
        class_names=(),
        ids=numbered(len(stored)),
        labels=None if labels is None else np.array(labels, np.int64),
        canvas=Canvas(side, side, mode=mode),
        image=image,
        contents=lambda index: hashlib.sha256(f"{stored.shape[1:]}".encode() + stored[index].tobytes()).hexdigest(),
    )
    return Images(found, notes)


def quantised(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels as uint8, with a note where rounding changed them; UserError for other types and values beyond [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels, ()
    if pixels.dtype.kind != "f":
        raise UserError(f"images of type {pixels.dtype}: give uint8, or float in [0, 1]")
    if not ((pixels >= 0) & (pixels <= 1)).all():
        span = f"{np.min(pixels):.3g} to {np.max(pixels):.3g}"
        raise UserError(f"images have values from {span}: give pixels in [0, 1], which the model then normalises")
    scaled = 255 * pixels.astype(np.float32)
    rounded = scaled.round()
    moved = float(np.abs(scaled - rounded).max())
    note = f"images were rounded to 8 bits, by up to {moved:.2f}/255: the attack and the store work on 8-bit pixels"
    return rounded.astype(np.uint8), (note,) if moved > EXACT else ()


def of_dataset(dataset: Any) -> Images:
    """A torch Dataset, or one of Hugging Face: its items are images, (image, label), or {"image": …, "label": …}."""
    if not len(dataset):
        raise UserError("the data set holds no images: give one or more")
    items = [parts(dataset[index]) for index in range(len(dataset))]
    labels = [label for _, label in items]
    known = None if None in labels else [int(label) for label in labels]
    first = items[0][0]
    if isinstance(first, Image.Image):
        return Images(of_pictures([picture for picture, _ in items], known))
    try:
        pixels = np.stack([as_array(picture) for picture, _ in items])
    except ValueError as error:
        raise UserError(f"the images are of several shapes ({one_line(error)}): give one size") from error
    return of_array(pixels, known)


def parts(item: Any) -> tuple[Any, Any]:
    """The image and the label of an item of a data set; None for a label that it lacks."""
    if isinstance(item, dict):
        image = item.get("image", item.get("img", item.get("pixel_values")))
        return image, item.get("label", item.get("labels"))
    if isinstance(item, (tuple, list)):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def of_pictures(pictures: Sequence[Image.Image], labels: Sequence[int] | None) -> ImageSet:
    """Pillow images. Squares of one size are kept; others are resized and cropped as those of a folder are."""
    if deep := [picture.mode for picture in pictures if picture.mode.startswith(DEEP)]:
        raise UserError(f"images of Pillow's mode {deep[0]} have more than 8 bits a channel: convert them to RGB or L")
    sizes = {picture.size for picture in pictures}
    mode: Mode = "L" if all(picture.mode in ("L", "1") for picture in pictures) else "RGB"
    side = pictures[0].width
    return ImageSet(
        name="images",
        label_space=None,
        class_names=(),
        ids=numbered(len(pictures)),
        labels=None if labels is None else np.array(labels, np.int64),
        canvas=Canvas(side, side, mode=mode) if sizes == {(side, side)} else Canvas(mode=mode),
        image=lambda index: pictures[index],
        contents=lambda index: hashlib.sha256(
            f"{pictures[index].mode} {pictures[index].size}".encode() + pictures[index].tobytes()
        ).hexdigest(),
    )


def numbered(count: int) -> tuple[str, ...]:
    """The ids of images without names: their numbers, of equal length."""
    return tuple(f"{index:0{len(str(count - 1))}d}" for index in range(count))
