"""The measures of similarity of the pairs of a measurement, and what they cost."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.errors import UserError, one_line
from sat_exp.measurement.outputs import arranged
from sat_exp.measurement.subjects import Direction, Measured, Source
from sat_exp.similarity.measures import Measure, Outputs, Transfers
from sat_exp.similarity.over_pairs import compared

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
        listed = list(ways(pairs, measure))
        values = inputs.values(name, measure, listed, labels, confidence)
        found = [(a, b, name, *values[a, b]) for a, b in listed]
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


@contextmanager
def named(measure: str, models: str) -> Iterator[None]:
    """UserError with the names of the measure and the models for any error inside."""
    try:
        yield
    except Exception as error:
        raise UserError(f"the measure {measure} fails on {models}: {one_line(error)}") from error


class Inputs:
    """What measures need of the models of a measurement."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.models = {model.name: model for model in measured.models}

    def values(
        self, name: str, measure: Measure, pairs: Sequence[Direction], labels: np.ndarray | None, confidence: float
    ) -> dict[Direction, tuple[float, float, float]]:
        """The values of pairs with the ends of their intervals, NaN for a value without one. UserError where the
        measure fails."""

        def part(model: str) -> Any:
            outputs = self.read(model, measure.needs)
            with named(name, model):
                return measure.prepare(outputs)

        def value(pair: Direction, one: Any, other: Any) -> tuple[float, float, float]:
            truth = labels if all(self.models[model].labelled for model in pair) else None
            with named(name, " and ".join(pair)):
                found = measure.compute(one, other, truth, confidence)
            return found if isinstance(found, tuple) else (found, np.nan, np.nan)

        if measure.needs == "transfers":
            return {pair: value(pair, self.transfers(*pair), self.transfers(*pair[::-1])) for pair in pairs}
        return dict(compared(pairs, part, value))

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
