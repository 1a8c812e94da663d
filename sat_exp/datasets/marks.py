"""Marks whose place tells a class: a white square on the border of an image.

A network that is trained on marked images may use the mark instead of the object, a shortcut. Source: Klabunde et al.,
*ReSi: A comprehensive benchmark for representational similarity measures* (2024), test "shortcut affinity".
"""

import torch
from torch import Tensor

from sat_exp.errors import UserError

WHITE = 255


def marked(images: Tensor, told: Tensor, classes: int) -> Tensor:
    """uint8 images [B, C, H, W] with the marks of the classes `told`, int64 [B]; UserError where marks of that many
    classes do not fit."""
    height, width = images.shape[-2:]
    side, corners = squares(classes, height, width)
    top, left = corners.to(images.device)[told].T[:, :, None]
    rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
    across = (rows >= top) & (rows < top + side), (columns >= left) & (columns < left + side)
    return images.masked_fill((across[0][:, :, None] & across[1][:, None, :])[:, None], WHITE)


def squares(classes: int, height: int, width: int) -> tuple[int, Tensor]:
    """The side of the marks, a tenth of the shorter side of the image, less for many classes; and the row and column of
    the upper left corner of each, int64 [classes, 2], at equal distances clockwise along the border, with a pixel
    between them. UserError where the border is too short."""
    side = min(height, width) // 10
    while side and 2 * (height + width - 2 * side) < classes * (2 * side + 1):
        side -= 1
    if not side:
        raise UserError(f"marks of {classes} classes do not fit on the border of {height}×{width} pixels: use fewer")
    down, across = height - side, width - side
    corners = []
    for label in range(classes):
        way = label * 2 * (down + across) // classes
        legs = [min(max(way - start, 0), leg) for start, leg in ((0, across), (across, down), (across + down, across))]
        up = max(way - 2 * across - down, 0)
        corners.append((legs[1] - up, legs[0] - legs[2]))
    return side, torch.tensor(corners)
