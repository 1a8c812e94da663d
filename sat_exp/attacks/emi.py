"""EMI-FGSM: enhanced momentum (Wang et al., BMVC 2021)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from sat_exp.attacks.momentum import MI, Copies, State, mean, normalised
from sat_exp.settings.types import NonNegative

Several = Annotated[Copies, Field(ge=2)]


@dataclass(frozen=True)
class EMI(MI):
    """MI with ḡ = mean ∇J(x + c · step_size · ḡ/mean|ḡ|) over `copies` of c, evenly spaced from −radius to radius.

    ḡ on the right is that of the step before; radius is η in the paper. The unit of c, step_size · ḡ/mean|ḡ|, is that
    of the authors' code.
    """

    copies: Several = 11
    radius: NonNegative = 7.0
    version: ClassVar[int] = 1

    @property
    def gradients_per_step(self) -> int:
        return self.copies

    def estimate(self, at: State) -> Tensor:
        spread = [self.radius * (2 * copy / (self.copies - 1) - 1) for copy in range(self.copies)]
        average = mean(at.gradient(at.x + c * self.step_size * at.kept) for c in spread)
        at.kept = normalised(average)
        return average
