"""Measures of the similarity of two models from their outputs on clean images: one file per measure.

A module of this package lists its measures as `MEASURES`. Entry points of the group `sat_exp.measures` add others, each
a `Measure`. The setting `measures` chooses among them by name.
"""

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_exp import plugins
from sat_exp.errors import UserError, one_line
from sat_exp.names import suggest

COLUMNS = ("model_a", "model_b", "measure", "value", "low", "high")

Value = float | tuple[float, float, float]
"""A value alone, or with the lower and the upper end of its interval."""


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


class Logits(Protocol):
    """Stored logits, float32 [N, K]."""

    def read_all(self) -> NDArray[np.float32]: ...


class Outputs(Protocol):
    """The stored outputs of a measured model. clean: predicted classes. labelled: with the labels' classes."""

    @property
    def name(self) -> str: ...
    @property
    def labelled(self) -> bool: ...
    @property
    def clean(self) -> NDArray[np.int64]: ...
    @property
    def logits(self) -> Logits: ...


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


def table(
    names: Sequence[str],
    models: Sequence[Outputs],
    directions: Iterable[tuple[str, str]],
    labels: NDArray[np.int64] | None,
    confidence: float,
) -> pd.DataFrame:
    """One row per pair of models and measure of `names`: the columns `COLUMNS`, low and high NaN without an interval.

    directions: (source, target) names; a pair is compared if one of its directions is among them. labels: the true
    classes of the images, None where unknown. An asymmetric measure has a second row for the pair, in the other order.
    UserError where a measure cannot be computed.
    """
    by_name: Mapping[str, Outputs] = {model.name: model for model in models}
    order = list(by_name)
    unordered = {frozenset(direction) for direction in directions}
    pairs = [(a, b) for a in order for b in order[order.index(a) + 1 :] if {a, b} in unordered]
    logits = lru_cache(maxsize=2)(lambda name: by_name[name].logits.read_all())
    rows = []
    for measure in chosen(names):
        for pair in pairs:
            for a, b in [pair] if measure.symmetric else [pair, pair[::-1]]:
                outputs = [logits(name) if measure.needs == "logits" else by_name[name].clean for name in (a, b)]
                truth = labels if by_name[a].labelled and by_name[b].labelled else None
                try:
                    value = measure.compute(outputs[0], outputs[1], truth, confidence)
                except Exception as error:
                    raise UserError(f"the measure {measure.name} fails on {a} and {b}: {one_line(error)}") from error
                rows.append((a, b, measure.name, *(value if isinstance(value, tuple) else (value, np.nan, np.nan))))
    return pd.DataFrame(rows, columns=list(COLUMNS))
