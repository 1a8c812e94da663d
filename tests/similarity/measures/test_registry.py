"""The registry of measures and a run's table of measures: names, pairs, plug-ins."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.measurement.tables import measure_table
from sat_exp.similarity import measures
from sat_exp.similarity.measures import Measure, chosen


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


@pytest.fixture
def models():
    logits = np.random.default_rng(0).normal(size=(4, 30, 5)).astype(np.float32)
    return [Output(name, each.argmax(axis=1), Stored(each, [])) for name, each in zip("abcd", logits, strict=True)]


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 5, 30)


ALL = [(a, b) for a in "abcd" for b in "abcd"]


def table(names, models, directions, labels, confidence):
    measured = SimpleNamespace(models=models, predictions=dict.fromkeys(directions))
    return measure_table(measured, labels, names, confidence)


def test_each_pair_that_was_measured_has_one_row_per_measure(models, labels):
    directions = [("a", "a"), ("b", "a"), ("a", "c"), ("c", "a")]
    rows = table(["agreement", "jensen_shannon", "agreement"], models, directions, labels, 0.95)
    assert rows[["model_a", "model_b", "measure"]].to_numpy().tolist() == [
        ["a", "b", "agreement"], ["a", "c", "agreement"], ["a", "b", "jensen_shannon"], ["a", "c", "jensen_shannon"],
    ]  # fmt: skip
    assert rows["value"].iloc[0] == np.mean(models[0].clean == models[1].clean)
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()


def test_one_models_logits_stay_in_memory_while_it_is_compared_with_all_later_ones(models, labels):
    table(["agreement", "same_error"], models, ALL, labels, 0.95)
    assert not any(model.logits.reads for model in models)
    table(["jensen_shannon"], models, ALL, labels, 0.95)
    assert len(models[0].logits.reads) == 1
    assert sum(len(model.logits.reads) for model in models) == 8, "12 if both were read for each of the six pairs"


def test_the_confidence_is_that_of_the_run(models, labels):
    wide, narrow = (table(["agreement"], models, ALL, labels, confidence) for confidence in (0.99, 0.5))
    assert (wide["high"] - wide["low"] > narrow["high"] - narrow["low"]).all()


def test_measures_of_errors_are_missing_for_a_model_of_other_classes(models, labels):
    other = [replace(models[0], labelled=False), *models[1:]]
    rows = table(["error_consistency"], other, ALL, labels, 0.95)
    assert rows["value"].isna().tolist() == (rows["model_a"] == "a").tolist()
    assert table(["error_consistency"], models, ALL, None, 0.95)["value"].isna().all()


@pytest.fixture
def plugged(monkeypatch):
    """Installs measures as if they came from a plug-in."""

    def install(**installed):
        monkeypatch.setattr(plugins, "loaded", lambda group, kind: installed if group == "sat_exp.measures" else {})
        measures.measures.cache_clear()

    yield install
    measures.measures.cache_clear()


def test_an_asymmetric_measure_has_both_orders_and_a_number_alone_no_interval(models, labels, plugged):
    first = Measure("first", "First class", "predictions", 0, 4, lambda a, b, labels, confidence: a[0], symmetric=False)
    plugged(mine=first)
    rows = table(["first"], models[:2], ALL, labels, 0.95)
    assert rows[["model_a", "model_b"]].to_numpy().tolist() == [["a", "b"], ["b", "a"]]
    assert rows["value"].tolist() == [models[0].clean[0], models[1].clean[0]]
    assert pd.isna(rows[["low", "high"]]).all(axis=None)


def test_a_measure_that_fails_is_named_with_the_pair(models, labels, plugged):
    plugged(mine=Measure("bad", "Bad", "predictions", 0, 1, lambda a, b, labels, confidence: 1 / 0))
    with pytest.raises(UserError, match="the measure bad fails on a and b: division by zero"):
        table(["bad"], models, ALL, labels, 0.95)


def test_an_unknown_measure_names_the_nearest(plugged):
    with pytest.raises(UserError, match="no measure called 'agrement'; did you mean agreement or disagreement"):
        chosen(["agrement"])
    with pytest.raises(UserError, match="no measure called 'zzz'; give one of agreement"):
        chosen(["zzz"])


def test_a_plug_in_may_not_repeat_a_name(plugged):
    plugged(mine=Measure("agreement", "", "predictions", 0, 1, lambda *_: 0.0))
    with pytest.raises(UserError, match="the plug-in mine has a measure agreement, which is there already"):
        chosen(["agreement"])
