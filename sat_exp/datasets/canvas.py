"""From an image to 8-bit pixels on the canvas, the one square of pixels that a classifier is shown."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from sat_exp.errors import UserError
from sat_exp.settings import checked
from sat_exp.settings.types import Side

Mode = Literal["RGB", "L"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

CHANNELS: dict[Mode, int] = {"RGB": 3, "L": 1}
MOST_RESIZED = 100_000_000
"""Pixels of an image that has been resized and not yet cropped."""

FILTERS: dict[Filter, Image.Resampling] = {name: Image.Resampling[name.upper()] for name in get_args(Filter)}


@dataclass(frozen=True)
class Canvas:
    """Pillow `mode` ("RGB", or "L" for grey), shorter side to `resize` pixels with Pillow's filter `interpolation`,
    centre square of `crop` pixels."""

    resize: Side = 256
    crop: Side = 224
    interpolation: Filter = "bicubic"
    mode: Mode = "RGB"

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "dataset")
        if self.crop > self.resize:
            raise UserError(
                f"dataset.crop={self.crop} is larger than dataset.resize={self.resize}: give a smaller crop"
            )

    @classmethod
    def native(cls, size: int, crop_fraction: float, interpolation: Filter = "bicubic", mode: Mode = "RGB") -> "Canvas":
        """timm's evaluation transform for an input of `size` pixels: shorter side to size / crop_fraction, rounded
        down, centre crop `size`."""
        if not 0 < crop_fraction <= 1:
            raise UserError(
                f"crop fraction {crop_fraction}: give the share of the side that is kept, above 0, at most 1"
            )
        return cls(math.floor(size / crop_fraction), size, interpolation, mode)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (CHANNELS[self.mode], self.crop, self.crop)

    @property
    def recipe(self) -> str:
        """All that shapes the pixels, in words."""
        return f"{self.mode}, shorter side to {self.resize} {self.interpolation}, centre crop {self.crop}"

    def paint(self, image: Image.Image) -> np.ndarray:
        """uint8 pixels [C, crop, crop] of `image`; the longer side's length is rounded down, as torchvision does.

        ValueError for one that is too long and narrow, or whose colours Pillow cannot convert.
        """
        width, height = image.size
        shorter = min(width, height)
        width, height = width * self.resize // shorter, height * self.resize // shorter
        if width * height > MOST_RESIZED:
            raise ValueError(f"{image.width}×{image.height} pixels are too long and narrow for {self.recipe}")
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        resized = image.convert(self.mode).resize((width, height), FILTERS[self.interpolation])
        square = np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))
        return np.ascontiguousarray(square.reshape(self.crop, self.crop, -1).transpose(2, 0, 1))
