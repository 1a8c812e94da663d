"""The canvas: a square of 8-bit pixels to which every image is resized and cropped."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from sat_exp.errors import UserError
from sat_exp.settings import checked
from sat_exp.settings.types import Side

Mode = Literal["RGB", "L"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

CHANNELS: dict[Mode, int] = {"RGB": 3, "L": 1}
MOST_RESIZED = 100_000_000  # pixels of an image after resizing, before cropping


@dataclass(frozen=True)
class Canvas:
    """How an image becomes pixels. resize: pixels of the shorter side. crop: pixels of a side of the centre square.
    interpolation: Pillow's filter. mode: Pillow's mode, "RGB" or "L" for grey."""

    resize: Side = 256
    crop: Side = 224
    interpolation: Filter = "bicubic"
    mode: Mode = "RGB"

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "dataset")
        if self.crop > self.resize:
            raise UserError(f"dataset.crop={self.crop} is larger than dataset.resize={self.resize}: give a smaller one")

    @classmethod
    def native(cls, size: int, crop_fraction: float, interpolation: Filter = "bicubic", mode: Mode = "RGB") -> "Canvas":
        """timm's evaluation transform for an input of `size` pixels: shorter side to floor(size / crop_fraction), then
        a centre crop of `size`."""
        return cls(math.floor(size / crop_fraction), size, interpolation, mode)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (CHANNELS[self.mode], self.crop, self.crop)

    @property
    def recipe(self) -> str:
        """All that determines the pixels, in words; part of the store's keys."""
        return f"{self.mode}, shorter side to {self.resize} {self.interpolation}, centre crop {self.crop}"

    def paint(self, image: Image.Image) -> np.ndarray:
        """uint8 pixels [C, crop, crop] of `image`; the length of the longer side is rounded down, as in torchvision.

        ValueError where the image is too long and narrow, or Pillow cannot convert its colours.
        """
        width, height = image.size
        shorter = min(width, height)
        width, height = width * self.resize // shorter, height * self.resize // shorter
        if width * height > MOST_RESIZED:
            raise ValueError(f"{image.width}×{image.height} pixels are too long and narrow for {self.recipe}")
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        resized = image.convert(self.mode).resize((width, height), Image.Resampling[self.interpolation.upper()])
        square = np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))
        return np.ascontiguousarray(square.reshape(self.crop, self.crop, -1).transpose(2, 0, 1))
