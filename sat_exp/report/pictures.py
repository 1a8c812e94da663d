"""Example images of a run: PNG files that may come from other people."""

from pathlib import Path

import numpy as np
from PIL import Image

from sat_exp.errors import UserError

LARGEST = 4096
"""Pixels per side."""

MODES = ("L", "RGB")


def pixels(file: Path) -> np.ndarray:
    """The pixels of a file, uint8 [H, W] or [H, W, 3]; UserError unless it is a PNG of 8 bits per channel and not too
    large."""
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if max(picture.size) > LARGEST or picture.mode not in MODES:
                raise ValueError(f"{picture.width} x {picture.height}, {picture.mode}")
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{file.name} of the examples is not a readable picture ({error})") from error


def checked(file: Path) -> Path:
    """`file`; UserError where `pixels` cannot read it."""
    pixels(file)
    return file
