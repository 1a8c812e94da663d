"""The measures of similarity of the pairs of a measurement, and what they cost."""

import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.errors import UserError, one_line
from sat_exp.measurement.outputs import arranged
from sat_exp.measurement.subjects import Direction, Measured, Source
from sat_exp.similarity.measures import Measure, Outputs, Transfers

VALUES = ["model_a", "model_b", "measure", "value", "low", "high"]
COSTS = ["measure", "title", "needs", "pairs", "network_seconds", "seconds"]


def measure_tables(
    measured: Measured, labels: np.ndarray | None, measures: Mapping[str, Measure], confidence: float
) -> dict[str, pd.DataFrame]:
    """The tables `measures` and `measure_costs`: the values of every pair that was measured in a direction, those of an
    asymmetric measure in both orders; and for each measure the seconds of its values, and of the networks' outputs that
    they are computed from. UserError where a measure cannot be computed."""
    inputs = Inputs(measured)
    unordered = {frozenset(direction) for direction in measured.predictions}
    pairs = [pair for pair in combinations(inputs.models, 2) if frozenset(pair) in unordered]
    rows: list[tuple[Any, ...]] = []
    costs = []
    for name, measure in measures.items():
        started = time.perf_counter()
        found = [
            (a, b, name, *inputs.value(name, measure, (a, b), labels, confidence)) for a, b in ways(pairs, measure)
        ]
        seconds = round(time.perf_counter() - started, 3)
        costs.append((name, measure.title, measure.kind, len(found), inputs.network_seconds(measure), seconds))
        rows += found
    return {"measures": pd.DataFrame(rows, columns=VALUES), "measure_costs": pd.DataFrame(costs, columns=COSTS)}


def ways(pairs: list[Direction], measure: Measure) -> Iterator[Direction]:
    """The pairs of models; both orders for a measure that is not symmetric."""
    for pair in pairs:
        yield pair
        if not measure.symmetric:
            yield pair[::-1]


class Inputs:
    """What measures need of the models of a measurement."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.models = {model.name: model for model in measured.models}
        self.cached = lru_cache(maxsize=2)(self.read)  # the first model of a pair stays in memory for the next pairs

    def value(
        self, name: str, measure: Measure, pair: Direction, labels: np.ndarray | None, confidence: float
    ) -> tuple[float, float, float]:
        """The value of a pair with the ends of its interval, NaN for a value without one."""
        first, second = (self.models[model] for model in pair)
        truth = labels if first.labelled and second.labelled else None
        one, other = (self.of(measure, *way) for way in (pair, pair[::-1]))
        try:
            value = measure.compute(one, other, truth, confidence)
        except Exception as error:
            raise UserError(f"the measure {name} fails on {pair[0]} and {pair[1]}: {one_line(error)}") from error
        return value if isinstance(value, tuple) else (value, np.nan, np.nan)

    def of(self, measure: Measure, model: str, other: str) -> Any:
        """What a measure needs of `model` in its pair with `other`."""
        return self.transfers(model, other) if measure.needs == "transfers" else self.cached(model, measure.needs)

    def read(self, model: str, needs: str | Outputs) -> np.ndarray:
        if isinstance(needs, Outputs):
            return arranged(self.measured.outputs[model, needs], needs)
        subject = self.models[model]
        return subject.logits.read_all() if needs == "logits" else subject.clean

    def transfers(self, model: str, other: str) -> Transfers:
        """The predictions of `model` for its own and the other model's images."""
        subject, source, way = self.models[model], self.models[other], (other, model)
        goals = source.of_all_images(source.goals) if isinstance(source, Source) and source.goals is not None else None
        reference = self.measured.reference.get(way, subject.clean)
        return Transfers(subject.clean, reference, self.measured.predictions.get(way), goals)

    def network_seconds(self, measure: Measure) -> float:
        """The seconds that networks took for the outputs that a measure needs, as noted when they were computed. Clean
        logits and predictions for adversarial images take the noted time of an image in a forward pass."""
        models = self.measured.models
        if isinstance(measure.needs, Outputs):
            noted = (self.measured.outputs[model.name, measure.needs].notes for model in models)
            return round(sum(notes.get("seconds", np.nan) for notes in noted), 3)
        seconds = sum(model.image_seconds * len(model.clean) for model in models)
        if measure.needs == "transfers":
            by_name = {source.name: source for source in self.measured.sources}
            seconds += sum(source.adversarial.notes.get("seconds", np.nan) for source in by_name.values())
            ways = (way for way in self.measured.predictions if way[0] in by_name)
            seconds += sum(len(by_name[source].rows) * self.models[target].image_seconds for source, target in ways)
        return round(seconds, 3)
