"""What every data set is to the rest of the program: labelled images, in a fixed order, on one pixel canvas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sat_exp.errors import UserError


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in a fixed order.

    ids: one name an image, unique. labels: int64 [N], indices into `class_names`. shape: (channels, height, width) of
    the canvas. read: index → uint8 pixels [C, H, W]. contents: index → the SHA-256 of what the pixels are made from,
    which is cheaper to read than the pixels themselves. recipe: how pixels are made from that content.
    """

    name: str
    label_space: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    shape: tuple[int, int, int]
    recipe: str
    read: Callable[[int], np.ndarray]
    contents: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Sequence[int] | np.ndarray) -> "ImageSet":
        """The images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return replace(
            self,
            ids=tuple(self.ids[index] for index in chosen),
            labels=self.labels[chosen],
            read=lambda position: self.read(chosen[position]),
            contents=lambda position: self.contents(chosen[position]),
        )

    def subset(self, size: int | None, seed: int) -> "ImageSet":
        """`size` images, as equally many of each class as possible, drawn by `seed`, in the set's own order."""
        if type(seed) is not int or seed < 0:
            raise UserError(f"dataset.seed={seed}: give a whole number, 0 or more")
        if size is None:
            return self
        if type(size) is not int or not 1 <= size <= len(self):
            raise UserError(
                f"dataset.size={size}: {self.name} has {len(self)} images; choose 1 to {len(self)}, or null for all"
            )
        return self.take(balanced(self.labels, size, seed))


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
