"""A run's tables of measures: pairs, orders, what is read, costs."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sat_exp.errors import UserError
from sat_exp.measurement.measures import measure_tables
from sat_exp.similarity.measures import Measure, Outputs, clean_predictions, jensen_shannon


@dataclass(frozen=True)
class Stored:
    """Logits in memory, counting how often they are read."""

    values: np.ndarray
    reads: list[None]

    def read_all(self) -> np.ndarray:
        self.reads.append(None)
        return self.values


@dataclass(frozen=True)
class Output:
    name: str
    clean: np.ndarray
    logits: Stored
    labelled: bool = True
    image_seconds: float = 0.5


@pytest.fixture
def models():
    logits = np.random.default_rng(0).normal(size=(4, 30, 5)).astype(np.float32)
    return [Output(name, each.argmax(axis=1), Stored(each, [])) for name, each in zip("abcd", logits, strict=True)]


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 5, 30)


ALL = [(a, b) for a in "abcd" for b in "abcd"]


KNOWN = {name: clean_predictions.measure(name) for name in ("agreement", "same_error", "error_consistency")}
KNOWN["jensen_shannon"] = jensen_shannon.measure()


def tables(names, models, directions, labels, confidence=0.95, outputs=None, **others):
    measured = SimpleNamespace(
        models=models, predictions=dict.fromkeys(directions), reference={}, outputs=outputs or {}, sources=[]
    )
    return measure_tables(measured, labels, {name: (KNOWN | others)[name] for name in names}, confidence)


def table(*given, **others):
    return tables(*given, **others)["measures"]


def test_each_pair_that_was_measured_has_one_row_per_measure(models, labels):
    directions = [("a", "a"), ("b", "a"), ("a", "c"), ("c", "a")]
    rows = table(["agreement", "jensen_shannon"], models, directions, labels, 0.95)
    assert rows[["model_a", "model_b", "measure"]].to_numpy().tolist() == [
        ["a", "b", "agreement"], ["a", "c", "agreement"], ["a", "b", "jensen_shannon"], ["a", "c", "jensen_shannon"],
    ]  # fmt: skip
    assert rows["value"].iloc[0] == np.mean(models[0].clean == models[1].clean)
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()


def test_logits_are_read_once_per_model(models, labels):
    table(["agreement", "same_error"], models, ALL, labels, 0.95)
    assert not any(model.logits.reads for model in models)
    table(["jensen_shannon"], models, ALL, labels, 0.95)
    assert [len(model.logits.reads) for model in models] == [1] * 4, "three each if both were read for all six pairs"


def test_the_confidence_is_that_of_the_run(models, labels):
    wide, narrow = (table(["agreement"], models, ALL, labels, confidence) for confidence in (0.99, 0.5))
    assert (wide["high"] - wide["low"] > narrow["high"] - narrow["low"]).all()


def test_measures_of_errors_are_missing_for_a_model_of_other_classes(models, labels):
    other = [replace(models[0], labelled=False), *models[1:]]
    rows = table(["error_consistency"], other, ALL, labels, 0.95)
    assert rows["value"].isna().tolist() == (rows["model_a"] == "a").tolist()
    assert table(["error_consistency"], models, ALL, None, 0.95)["value"].isna().all()


def test_an_asymmetric_measure_has_both_orders_and_a_number_alone_no_interval(models, labels):
    first = Measure("First class", "predictions", 0, 4, lambda a, b, labels, confidence: a[0], symmetric=False)
    rows = table(["first"], models[:2], ALL, labels, first=first)
    assert rows[["model_a", "model_b"]].to_numpy().tolist() == [["a", "b"], ["b", "a"]]
    assert rows["value"].tolist() == [models[0].clean[0], models[1].clean[0]]
    assert pd.isna(rows[["low", "high"]]).all(axis=None)


def test_a_measure_that_fails_is_named_with_the_pair(models, labels):
    bad = Measure("Bad", "predictions", 0, 1, lambda a, b, labels, confidence: 1 / 0)
    with pytest.raises(UserError, match="the measure bad fails on a and b: division by zero"):
        table(["bad"], models, ALL, labels, bad=bad)


def test_a_preparation_that_fails_is_named_with_its_model(models, labels):
    bad = Measure("Bad", "predictions", 0, 1, lambda *given: 0.0, prepare=lambda outputs: outputs[0] / "b")
    with pytest.raises(UserError, match="the measure bad fails on a: "):
        table(["bad"], models, ALL, labels, bad=bad)


def test_outputs_are_those_of_each_model_and_their_seconds_are_counted(models, labels):
    needs = Outputs("boundaries", 3, 2)
    noted = {
        (model.name, needs): SimpleNamespace(read_all=lambda place=place: np.full(12, place), notes={"seconds": 2.0})
        for place, model in enumerate(models)
    }

    def compute(a, b, labels, confidence):
        assert a.shape == (3, 4)
        return float(10 * a[0, 0] + b[0, 0])

    grids = Measure("Grids", needs, 0, 99, compute)
    found = tables(["grids", "agreement"], models, ALL, labels, outputs=noted, grids=grids)
    values = found["measures"].query("measure == 'grids'")["value"]
    assert values.tolist() == [1, 2, 3, 12, 13, 23]
    costs = found["measure_costs"].set_index("measure")
    assert costs.loc["grids", "network_seconds"] == 8
    assert costs.loc["agreement", "network_seconds"] == 0.5 * 30 * 4
    assert costs.loc["grids", "pairs"] == 6
