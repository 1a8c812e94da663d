"""SIA: structure invariant attack (Wang et al., ICCV 2023)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sat_exp.attacks.averaged import Transformed
from sat_exp.attacks.bsr import Blocks
from sat_exp.attacks.draws import Draws
from sat_exp.attacks.shapes import blockwise, dropped, noisy, resized, rolled
from sat_exp.attacks.ssa import cosines

KEPT = 0.6  # of the frequencies of each dimension
SHRUNK = 0.8  # of each side
DROPPED = 0.1  # of the values


@dataclass(frozen=True)
class SIA(Transformed):
    """MI with the mean of ∇ₓ J(T(x)) over `copies` of T, which changes each of `blocks` × `blocks` blocks of random
    sizes in one of ten ways, which is drawn for each block (section 3.3): see CHANGES."""

    blocks: Blocks = 3
    version: ClassVar[int] = 1

    def transformed(self, image: Tensor, draws: Draws) -> Tensor:
        return blockwise(image, draws, self.blocks, changed)


def changed(block: Tensor, draws: Draws) -> Tensor:
    return CHANGES[draws.integer(0, len(CHANGES) - 1)](block, draws)


def blurred(block: Tensor) -> Tensor:
    """The block, made smaller and as large as before again."""
    height, width = block.shape[1:]
    return resized(resized(block, int(SHRUNK * height) + 1, int(SHRUNK * width) + 1), height, width)


def low_frequencies(block: Tensor) -> Tensor:
    """The block without its highest frequencies in the discrete cosine transform."""
    rows, columns = (cosines(side)[: max(1, round(KEPT * side))].to(block) for side in block.shape[1:])
    return rows.T @ (rows @ block @ columns.T) @ columns


CHANGES = (
    lambda block, draws: rolled(block, draws, 1),
    lambda block, draws: rolled(block, draws, 2),
    lambda block, draws: block.flip(1),
    lambda block, draws: block.flip(2),
    lambda block, draws: block.rot90(2, (1, 2)),
    lambda block, draws: draws.between(0, 1) * block,
    noisy,
    lambda block, draws: blurred(block),
    lambda block, draws: low_frequencies(block),
    lambda block, draws: dropped(block, draws, DROPPED) / (1 - DROPPED),
)
