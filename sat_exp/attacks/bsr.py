"""BSR: block shuffle and rotation (Wang et al., CVPR 2024)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from sat_exp.attacks.draws import Draws, each
from sat_exp.attacks.momentum import MI, Copies, State, mean
from sat_exp.attacks.shapes import rotated, shuffled

Blocks = Annotated[int, Field(ge=1, le=8)]
Angle = Annotated[float, Field(ge=0, le=180)]


@dataclass(frozen=True)
class BSR(MI):
    """MI with the mean of ∇ₓ J(T(x)) over `copies` of T, which shuffles `blocks` × `blocks` blocks and rotates each.

    Blocks have random sizes; angles are uniform between −degrees and degrees (section 3.3). The authors' code rotates
    strips of blocks instead.
    """

    copies: Copies = 20
    blocks: Blocks = 2
    degrees: Angle = 24.0
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        return mean(self.sample(at, copy) for copy in range(self.copies))

    def sample(self, at: State, copy: int) -> Tensor:
        draws = at.draws(copy)
        return at.gradient(at.x, lambda pixels: each(self.transformed, pixels, draws))

    def transformed(self, image: Tensor, draws: Draws) -> Tensor:
        return shuffled(image, draws, self.blocks, self.turned)

    def turned(self, block: Tensor, draws: Draws) -> Tensor:
        return rotated(block, draws.between(-self.degrees, self.degrees))
