"""SAT and transfer rates as measures are those of the table of pairs."""

import numpy as np
import pytest

from sat_exp.similarity import Predictions, score
from sat_exp.similarity.measures import Transfers, sat, transfer


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 80)
    clean = {name: np.where(generator.random(80) < 0.7, labels, generator.integers(0, 4, 80)) for name in "ab"}
    ways = [(a, b) for a in "ab" for b in "ab"]
    attacked = {way: generator.integers(0, 4, 80) for way in ways}
    return Predictions(["a", "b"], labels, clean, attacked)


def transfers(predictions, model, other):
    return Transfers(predictions.clean[model], predictions.clean[model], predictions.adversarial[other, model])


@pytest.mark.parametrize("compare", ["truth", "consensus", "own"])
def test_they_are_those_of_the_table_of_pairs(predictions, compare):
    row = score(predictions, {"a": "x", "b": "y"}, compare=compare).set_index(["model_a", "model_b"]).loc[("a", "b")]
    pair = transfers(predictions, "a", "b"), transfers(predictions, "b", "a")
    value = sat.measure(compare, 0.01).value(*pair, predictions.labels, 0.95)
    assert value == pytest.approx((row["sat"], row["sat_low"], row["sat_high"]))
    for way, ordered in (("ab", pair), ("ba", pair[::-1])):
        value = transfer.measure(compare).value(*ordered, predictions.labels, 0.95)
        assert value == pytest.approx([row[f"transfer_rate_{way}{end}"] for end in ("", "_low", "_high")])


def test_a_way_that_was_not_measured_and_unknown_labels_have_no_value(predictions):
    a, b = transfers(predictions, "a", "b"), transfers(predictions, "b", "a")
    assert np.isnan(sat.measure("truth", 0.01).value(a._replace(attacked=None), b, predictions.labels, 0.95)).all()
    assert np.isnan(sat.measure("truth", 0.01).value(a, b, None, 0.95)).all()
    assert np.isfinite(sat.measure("consensus", 0.01).value(a, b, None, 0.95)).all()


def test_an_image_that_should_have_been_attacked_is_an_error(predictions):
    a, b = transfers(predictions, "a", "b"), transfers(predictions, "b", "a")
    missing = a._replace(attacked=np.full(80, -1))
    with pytest.raises(ValueError, match="attacked images have no prediction"):
        sat.measure("consensus", 0.01).value(missing, b, None, 0.95)
