"""Gratings: vertical and horizontal sinusoids with noise, generated when an image is read."""

import hashlib

import numpy as np
from PIL import Image

from sat_exp.datasets import Canvas, ImageSet
from sat_exp.datasets.data_set import DataSet

ALL, SIDE = 200, 32


def grating(index: int) -> np.ndarray:
    """Image `index`, uint8 [SIDE, SIDE]: vertical where the index is even, horizontal where it is odd."""
    generator = np.random.default_rng(index)
    wave = np.sin(np.arange(SIDE) * generator.uniform(0.4, 1.2) + generator.uniform(0, 6))
    image = 127 + 60 * np.tile(wave, (SIDE, 1)) + generator.normal(0, 20, (SIDE, SIDE))
    return (image if index % 2 == 0 else image.T).clip(0, 255).astype(np.uint8)


class Gratings(DataSet):
    """200 grey images of two classes. `root` is not used."""

    def read(self, root: str | None) -> ImageSet:
        return ImageSet(
            name="example_gratings",
            label_space="example_gratings",
            class_names=("vertical", "horizontal"),
            ids=tuple(f"{index:03d}" for index in range(ALL)),
            labels=np.arange(ALL, dtype=np.int64) % 2,
            canvas=Canvas(SIDE, SIDE, mode="L"),
            image=lambda index: Image.fromarray(grating(index)),
            contents=lambda index: hashlib.sha256(grating(index).tobytes()).hexdigest(),
        )
