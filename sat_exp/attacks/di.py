"""DI²-FGSM: diverse inputs (Xie et al., CVPR 2019)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sat_exp.attacks.draws import Draws, each
from sat_exp.attacks.momentum import MI, State
from sat_exp.settings.types import Share

Rate = Annotated[float, Field(ge=1, le=4)]


@dataclass(frozen=True)
class DI(MI):
    """MI with ∇ₓ J(T(x)), where T enlarges with `probability` and pads with zeros to `rate` times the size.

    The paper gives the enlarged image to the network; here it is resized to the size of the image again, which
    classifiers would do.
    """

    probability: Share = 0.5
    rate: Rate = 1.1
    version: ClassVar[int] = 1

    def estimate(self, at: State) -> Tensor:
        draws = at.draws(0)
        return at.gradient(at.x, lambda pixels: each(self.diverse, pixels, draws))

    def diverse(self, image: Tensor, draws: Draws) -> Tensor:
        return diverse(image, draws, self.rate) if draws.between(0, 1) <= self.probability else image


def diverse(image: Tensor, draws: Draws, rate: float) -> Tensor:
    """The image [C, H, W], enlarged by a factor from 1 to `rate`, at a random place of a black one `rate` times as
    large, in the size of the image again."""
    size, whole = image.shape[1:], [int(rate * side) for side in image.shape[1:]]
    share = draws.between(0, 1)
    inner = [side + int(share * (most - side)) for side, most in zip(size, whole, strict=True)]
    top, left = (draws.integer(0, most - side) for side, most in zip(inner, whole, strict=True))
    larger = F.interpolate(image[None], inner, mode="bilinear", align_corners=False)
    padded = F.pad(larger, (left, whole[1] - inner[1] - left, top, whole[0] - inner[0] - top))
    return F.interpolate(padded, size, mode="bilinear", align_corners=False)[0]
