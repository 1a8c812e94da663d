"""Images in a fixed order, labelled or not, on a canvas: the form of every data set."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sat_exp import files
from sat_exp.datasets.canvas import Canvas
from sat_exp.errors import UserError, explained

MOST_LISTED = 1 << 28  # bytes of a list of images


@dataclass(frozen=True)
class ImageSet:
    """Images in a fixed order.

    label_space: of models trained on these classes. ids: one unique name per image. labels: int64 [N], indices into
    `class_names`. Without labels, label_space and labels are None and class_names is (). image: index → decoded image.
    contents: index → SHA-256, in hex, of the encoded image, which is cheaper to read.
    """

    name: str
    label_space: str | None
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray | None
    canvas: Canvas
    image: Callable[[int], Image.Image]
    contents: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.canvas.shape

    def read(self, index: int) -> np.ndarray:
        """uint8 pixels [C, H, W] of image `index` on the canvas; UserError where it cannot be resized."""
        failure = f"{self.ids[index]} of {self.name} cannot be resized"
        with explained(failure, "replace it or take it out", ValueError, OSError):
            return self.canvas.paint(self.image(index))

    def on(self, canvas: Canvas) -> "ImageSet":
        """The same images on another canvas."""
        return replace(self, canvas=canvas)

    def take(self, indices: Sequence[int] | np.ndarray) -> "ImageSet":
        """The images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return replace(
            self,
            ids=tuple(self.ids[index] for index in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            image=lambda position: self.image(chosen[position]),
            contents=lambda position: self.contents(chosen[position]),
        )

    def subset(self, size: int | None, seed: int) -> "ImageSet":
        """`size` images drawn by `seed`, balanced over the classes, in the set's own order."""
        if size is None:
            return self
        if type(size) is not int or not 1 <= size <= len(self):
            advice = f"choose 1 to {len(self)}, or null for all"
            raise UserError(f"dataset.size={size}: {self.name} has {len(self)} images; {advice}")
        labels = np.zeros(len(self), dtype=np.int64) if self.labels is None else self.labels
        return self.take(balanced(labels, size, seed))

    def listed(self, file: Path) -> "ImageSet":
        """The images in the column `id` of a CSV file, in the set's own order. UserError where it is no such table, or
        where its column `sha256`, if it has one, differs from the images' contents."""
        failure, advice = f"dataset.ids={file} cannot be read", "give a CSV in UTF-8"
        with explained(failure, advice, OSError, ValueError, OverflowError):
            content = BytesIO(files.contents(file, MOST_LISTED))
            table = pd.read_csv(content, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if "id" not in table:
            raise UserError(f"{file} has no column id: give the tables/images.csv of a run")
        if repeated := table["id"][table["id"].duplicated()].tolist():
            raise UserError(f"{file} lists {repeated[0]} twice: keep one of the lines")
        if table.empty:
            raise UserError(f"{file} lists no images: give the tables/images.csv of a run")
        places = {name: index for index, name in enumerate(self.ids)}
        if unknown := [name for name in table["id"] if name not in places]:
            missing = f"{len(unknown)} of the {len(table)} images in {file} are not in {self.name}"
            raise UserError(f"{missing}, the first is {unknown[0]}: give the data set that the file was made from")
        if "sha256" in table:
            for name, digest in zip(table["id"], table["sha256"], strict=True):
                if self.contents(places[name]) != digest:
                    raise UserError(f"{file} lists other images: {name} differs in {self.name}; give the same data set")
        return self.take(sorted(places[name] for name in table["id"]))

    def table(self, contents: Sequence[str] | None = None) -> pd.DataFrame:
        """The table `images`. contents: the digests, where they are already known."""
        labels = [None] * len(self) if self.labels is None else self.labels.tolist()
        return pd.DataFrame(
            {
                "id": list(self.ids),
                "label": pd.array(labels, dtype="Int64"),
                "class": [None if label is None else self.class_names[label] for label in labels],
                "sha256": [self.contents(index) for index in range(len(self))] if contents is None else list(contents),
            }
        )


def of_pixels(
    name: str, class_names: tuple[str, ...], part: str, pixels: np.ndarray, labels: np.ndarray, border: int = 0
) -> ImageSet:
    """The labelled square images `pixels`, uint8 [N, H, W] or [N, H, W, 3], as they are, with a border of black pixels.
    Their ids are PART-00000 and so on."""
    side = pixels.shape[1] + 2 * border
    return ImageSet(
        name=name,
        label_space=name,
        class_names=class_names,
        ids=tuple(f"{part}-{index:05d}" for index in range(len(pixels))),
        labels=labels,
        canvas=Canvas(side, side, mode="L" if pixels.ndim == 3 else "RGB"),
        image=lambda index: Image.fromarray(np.pad(pixels[index], border)),
        contents=lambda index: hashlib.sha256(pixels[index].tobytes()).hexdigest(),
    )


def balanced(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Sorted indices of `size` images: each class in a random order, then one image of every class in turn."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        turn[members] = np.arange(len(members))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(order[:size])
