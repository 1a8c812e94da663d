"""BSR: block shuffle and rotation (Wang et al., CVPR 2024)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from sat_exp.attacks.averaged import Transformed
from sat_exp.attacks.draws import Draws
from sat_exp.attacks.shapes import rotated, shuffled

Blocks = Annotated[int, Field(ge=1, le=8)]
Angle = Annotated[float, Field(ge=0, le=180)]


@dataclass(frozen=True)
class BSR(Transformed):
    """MI with the mean of ∇ₓ J(T(x)) over `copies` of T, which shuffles `blocks` × `blocks` blocks and rotates each.

    Blocks have random sizes; angles are uniform between −degrees and degrees (section 3.3). The authors' code rotates
    strips of blocks instead.
    """

    blocks: Blocks = 2
    degrees: Angle = 24.0
    version: ClassVar[int] = 1

    def transformed(self, image: Tensor, draws: Draws) -> Tensor:
        return shuffled(image, draws, self.blocks, self.turned)

    def turned(self, block: Tensor, draws: Draws) -> Tensor:
        return rotated(block, draws.between(-self.degrees, self.degrees))
