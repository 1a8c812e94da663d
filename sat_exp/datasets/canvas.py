"""From an image file to 8-bit pixels on the canvas, the one square of pixels that every classifier is shown."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from sat_exp.errors import UserError, one_line

DEEP = ("I", "F")  # Pillow's modes of more than 8 bits, which it would clip rather than scale
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Canvas:
    """RGB, shorter side to `resize` pixels with Pillow's bicubic filter, centre square of `crop` pixels."""

    resize: int = 256
    crop: int = 224

    def __post_init__(self) -> None:
        for name, number in (("resize", self.resize), ("crop", self.crop)):
            if type(number) is not int or number < 1:
                raise UserError(f"dataset.{name}={number}: give a whole number of pixels, 1 or more")
        if self.crop > self.resize:
            raise UserError(
                f"dataset.crop={self.crop} is larger than dataset.resize={self.resize}: give a smaller crop"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.crop, self.crop)

    @property
    def recipe(self) -> str:
        return f"RGB, shorter side to {self.resize} bicubic, centre crop {self.crop}"

    def paint(self, image: Image.Image) -> np.ndarray:
        """uint8 pixels [3, crop, crop] of `image`; the longer side's length is rounded down, as torchvision does."""
        if image.mode.startswith(DEEP):
            raise ValueError(f"more than 8 bits a channel, mode {image.mode}")
        width, height = image.size
        shorter = min(width, height)
        width, height = width * self.resize // shorter, height * self.resize // shorter
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        square = resized.crop((left, top, left + self.crop, top + self.crop))
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))

    def read(self, path: Path) -> np.ndarray:
        """uint8 pixels [3, crop, crop] of the file at `path`; UserError when it is damaged, truncated or not 8-bit."""
        contents = read_bytes(path)
        try:
            with Image.open(BytesIO(contents)) as image:
                return self.paint(image)
        except UNREADABLE as error:
            raise UserError(
                f"{path} is not a readable 8-bit image ({one_line(error)}): replace it or take it out"
            ) from error


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of the file at `path`."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): replace it or take it out") from error
