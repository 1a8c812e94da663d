"""Measures of the similarity of two models from their outputs on clean images: one file per measure.

A module of this package lists its measures as `MEASURES`. Entry points of the group `sat_exp.measures` add others, each
a `Measure`. The setting `measures` chooses among them by name.
"""

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.names import suggest

Value = float | tuple[float, float, float]  # a value alone, or with the lower and the upper end of its interval


@dataclass(frozen=True)
class Measure:
    """How similar two models are on the same images.

    name: as typed in `measures=[…]`. title: in words. needs: what `compute` gets of each model, its predicted classes,
    int64 [N], or its logits, float32 [N, K]. low, high: the range of the value.

    compute(a, b, labels, confidence): the value for two models, NaN where it is undefined. `labels` are the true
    classes, int64 [N], or None where they are unknown; `confidence` is that of the interval, where it returns one. It
    changes none of them.

    symmetric: the order of the two models does not matter. identity: the value of a model with itself, where it is
    defined; None where it depends on the model.
    """

    name: str
    title: str
    needs: Literal["predictions", "logits"]
    low: float
    high: float
    compute: Callable[[NDArray[Any], NDArray[Any], NDArray[np.int64] | None, float], Value]
    symmetric: bool = True
    identity: float | None = None


@cache
def measures() -> dict[str, Measure]:
    """All measures by name, those of this package first; UserError where a plug-in repeats a name."""
    registered: dict[str, Measure] = {}
    for module in pkgutil.iter_modules(__path__):
        registered |= {measure.name: measure for measure in import_module(f"{__name__}.{module.name}").MEASURES}
    for plugin, measure in plugins.loaded("sat_exp.measures", Measure).items():
        if measure.name in registered:
            raise UserError(f"the plug-in {plugin} has a measure {measure.name}, which is there already: uninstall it")
        registered[measure.name] = measure
    return registered


def chosen(names: Iterable[str]) -> list[Measure]:
    """The measures of those names, each once; UserError, with the nearest names, for one that does not exist."""
    registered = measures()
    for name in names:
        if name not in registered:
            raise UserError(f"measures: no measure called {name!r}; {suggest(name, registered)}")
    return [registered[name] for name in dict.fromkeys(names)]
