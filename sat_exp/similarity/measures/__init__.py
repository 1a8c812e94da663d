"""Measures of the similarity of two models: one file per measure.

A file of the group `measure` chooses one: `_target_` names its function, which takes the measure's settings and returns
a `Measure`. The name of a measure is that under which it is chosen, so that one function with two choices of settings
gives two measures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Value = float | tuple[float, float, float]  # a value alone, or with the lower and the upper end of its interval
Classes = NDArray[np.integer]  # a class per image, int [N]


@dataclass(frozen=True)
class Outputs:
    """What is computed of a model for its measures alone, and kept in the store.

    kind: `features`, float32 [N, D], the inputs of the last layer for all images; `gradients`, float16 [count, C, H,
    W], the input gradients of some images, each divided by its largest absolute value; `boundaries`, int32 [count,
    side²], the classes that are predicted on grids of planes through three images. count: of images or planes; fewer
    where the image set has no more. side: points along each side of a grid.
    """

    kind: Literal["features", "gradients", "boundaries"]
    count: int | None = None
    side: int = 1


class Transfers(NamedTuple):
    """What a model predicts for its own clean images, for those in the view of another model, and for the adversarial
    images of the other one, int [N] each. attacked: −1 where the other model was not attacked; None where that way was
    not measured. goals: the classes that a targeted attack on the other model leads to, else None."""

    clean: Classes
    reference: Classes
    attacked: Classes | None
    goals: Classes | None = None


def itself(outputs: Any) -> Any:
    """The part of a model that needs no preparation."""
    return outputs


@dataclass(frozen=True)
class Measure:
    """How similar two models are on the same images.

    title: in words. needs: what it is computed from, of each model: its predicted classes, int64 [N]; its logits,
    float32 [N, K]; its `Transfers` with the other model; or an array of `Outputs`. low, high: the range of the value.

    compute(a, b, labels, confidence): the value for two models, NaN where it is undefined. `labels` are the true
    classes, int64 [N], or None where they are unknown; `confidence` is that of the interval, where it returns one. It
    changes none of them.

    prepare(outputs): what `compute` gets of each model, by default what the measure needs itself. It is called once per
    model and not once per pair, so it is the place for work on one model alone. It returns an array or a tuple or list
    of such, nested as needed: their bytes are counted, to bound the memory of many models. Not used for `Transfers`.

    symmetric: the order of the two models does not matter. identity: the value of a model with itself, where it is
    defined; None where it depends on the model. all_images: it needs attacks on all images, whatever is predicted for
    them.
    """

    title: str
    needs: Literal["predictions", "logits", "transfers"] | Outputs
    low: float
    high: float
    compute: Callable[[Any, Any, NDArray[np.int64] | None, float], Value]
    symmetric: bool = True
    identity: float | None = None
    all_images: bool = False
    prepare: Callable[[Any], Any] = itself

    def value(self, a: Any, b: Any, labels: NDArray[np.int64] | None, confidence: float) -> Value:
        """The value of one pair, from what the measure needs of each model."""
        return self.compute(self.prepare(a), self.prepare(b), labels, confidence)

    @property
    def kind(self) -> str:
        """What it needs, in one word."""
        return self.needs.kind if isinstance(self.needs, Outputs) else self.needs
