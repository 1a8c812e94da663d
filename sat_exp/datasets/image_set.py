"""What every data set is to the rest of the program: images in a fixed order, labelled or not, shown on a canvas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sat_exp.datasets.canvas import Canvas
from sat_exp.errors import UserError, one_line

MOST_LISTED = 1 << 28
"""Bytes of a list of images."""


@dataclass(frozen=True)
class ImageSet:
    """Images in a fixed order.

    label_space: the name that models trained on these classes carry. class_names: one a class. ids: one name an image,
    unique. labels: int64 [N], indices into `class_names`. An unlabelled set has None, () and None for the three.
    image: index → the image as it was decoded. contents: index → the SHA-256, in hex, of what it is decoded from,
    which is cheaper to read than the image.
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
        """uint8 pixels [C, H, W] of image `index` on the canvas; UserError where it cannot be put there."""
        try:
            return self.canvas.paint(self.image(index))
        except (ValueError, OSError) as error:
            raise UserError(
                f"{self.ids[index]} of {self.name} cannot be resized ({one_line(error)}): replace it or take it out"
            ) from error

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

    def choose(self, size: int | None, seed: int, ids: str | None) -> "ImageSet":
        """What the settings `size`, `seed` and `ids` of a data set ask for: a drawn subset, or a listed one."""
        check_choice(size, ids)
        if ids is None:
            return self.subset(size, seed)
        return self.listed(Path(str(ids)).expanduser())

    def subset(self, size: int | None, seed: int) -> "ImageSet":
        """`size` images drawn by `seed`, as equally many of each class as possible, in the set's own order."""
        if size is None:
            return self
        if type(size) is not int or not 1 <= size <= len(self):
            raise UserError(
                f"dataset.size={size}: {self.name} has {len(self)} images; choose 1 to {len(self)}, or null for all"
            )
        labels = np.zeros(len(self), dtype=np.int64) if self.labels is None else self.labels
        return self.take(balanced(labels, size, seed))

    def listed(self, file: Path) -> "ImageSet":
        """The images that the CSV `file`, as `table` makes it, names in its column `id`, in the set's own order; where
        it has a column `sha256`, their contents must be the same."""
        try:
            if not file.is_file() or file.stat().st_size > MOST_LISTED:
                raise ValueError(f"it is no file of at most {MOST_LISTED:,} bytes")
            table = pd.read_csv(file, dtype=str, keep_default_na=False, compression=None, encoding="utf-8-sig")
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"dataset.ids={file} cannot be read ({one_line(error)}): give a CSV in UTF-8") from error
        if "id" not in table:
            raise UserError(f"{file} has no column id: give the tables/images.csv of a run")
        if repeated := table["id"][table["id"].duplicated()].tolist():
            raise UserError(f"{file} lists {repeated[0]} twice: keep one of the lines")
        if table.empty:
            raise UserError(f"{file} lists no images: give the tables/images.csv of a run")
        places = {name: index for index, name in enumerate(self.ids)}
        if unknown := [name for name in table["id"] if name not in places]:
            raise UserError(
                f"{len(unknown)} of the {len(table)} images in {file} are not in {self.name}, the first is "
                f"{unknown[0]}: give the data set that the file was made from"
            )
        if "sha256" in table:
            for name, digest in zip(table["id"], table["sha256"], strict=True):
                if self.contents(places[name]) != digest:
                    raise UserError(f"{file} lists other images: {name} differs in {self.name}; give the same data set")
        return self.take(sorted(places[name] for name in table["id"]))

    def table(self, contents: Sequence[str] | None = None) -> pd.DataFrame:
        """One line an image: id, label, class, sha256; label and class are empty in an unlabelled set. `contents` are
        the digests, where they are already known."""
        labels = [None] * len(self) if self.labels is None else self.labels.tolist()
        return pd.DataFrame(
            {
                "id": list(self.ids),
                "label": pd.array(labels, dtype="Int64"),
                "class": [None if label is None else self.class_names[label] for label in labels],
                "sha256": [self.contents(index) for index in range(len(self))] if contents is None else list(contents),
            }
        )


def check_choice(size: int | None, ids: str | None) -> None:
    """UserError where the settings `size` and `ids` of a data set both choose images."""
    if ids is not None and size is not None:
        raise UserError(f"dataset.ids and dataset.size={size} both choose images: give dataset.size=null with ids")


def balanced(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Sorted indices of `size` images: a seeded order within each class, then round after round one of every class."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        turn[members] = np.arange(len(members))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(order[:size])
