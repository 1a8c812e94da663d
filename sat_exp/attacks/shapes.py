"""Transformations of one image [C, H, W], or of a part of it, by random draws: flips, shifts, rotations, blocks."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks.draws import Draws

Change = Callable[[Tensor, Draws], Tensor]


def rotated(image: Tensor, degrees: float) -> Tensor:
    """The image, turned about its middle, bilinear; black where nothing is."""
    angle = math.radians(degrees)
    height, width = image.shape[1:]
    turn = [
        [math.cos(angle), -math.sin(angle) * height / width, 0.0],
        [math.sin(angle) * width / height, math.cos(angle), 0.0],
    ]
    grid = F.affine_grid(torch.tensor([turn]).to(image), [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, align_corners=False)[0]


def resized(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image[None], (height, width), mode="bilinear", align_corners=False)[0]


def rolled(image: Tensor, draws: Draws, dimension: int) -> Tensor:
    return image.roll(draws.integer(0, image.shape[dimension] - 1), dimension)


def noisy(image: Tensor, draws: Draws, most: float = 16 / 255) -> Tensor:
    """The image plus uniform numbers between −most and most, clipped to [0, 1]."""
    return (image + most * (2 * draws.uniform(image.shape) - 1)).clamp(0, 1)


def dropped(image: Tensor, draws: Draws, share: float) -> Tensor:
    """The image with a random `share` of its values at 0; the others keep their value."""
    return image * (draws.uniform(image.shape) > share)


def shuffled(image: Tensor, draws: Draws, blocks: int, change: Change = lambda block, draws: block) -> Tensor:
    """`blocks` × `blocks` blocks of random sizes in random order, each after `change`: strips along one dimension, and
    in each strip along the other."""
    first, second = (1, 2) if draws.integer(0, 1) else (2, 1)

    def parts(whole: Tensor, dimension: int) -> list[Tensor]:
        found = whole.split(draws.cuts(whole.shape[dimension], blocks), dimension)
        return [found[place] for place in draws.permutation(len(found))]

    strips = [[change(block, draws) for block in parts(strip, second)] for strip in parts(image, first)]
    return torch.cat([torch.cat(blocks, second) for blocks in strips], first)


def blockwise(image: Tensor, draws: Draws, blocks: int, change: Change) -> Tensor:
    """The image with `change` of each of `blocks` × `blocks` blocks of random sizes, which stay in their place."""
    heights, widths = (draws.cuts(side, blocks) for side in image.shape[1:])
    strips = [strip.split(widths, 2) for strip in image.split(heights, 1)]
    return torch.cat([torch.cat([change(block, draws) for block in strip], 2) for strip in strips], 1)
