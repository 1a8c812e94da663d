"""The arithmetic of a plan, and its numbers of images against simulation, intervals and the paper's sampling error."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.engine import Local
from sat_exp.similarity import sat, sat_interval
from sat_exp.studies.plan import planning, simulation

THROUGHPUT = pd.DataFrame(
    {
        "name": ["a", "b"],
        "forward_images_per_second": [100.0, 25.0],
        "attack_step_images_per_second": [40.0, 10.0],
        "load_seconds": [1.0, 2.0],
        "parameters": [10_000, 40_000],
        "peak_memory_bytes": [40_000 + 8 * 1_000, 160_000 + 2 * 7_000],
        "batch_size": [8, 2],
        "precision": ["32-true", "32-true"],
        "slow": [1.0, 0.5],
        "fast": [1.0, 2.0],
    }
)


def test_times_add_up_stage_by_stage():
    plan = planning.times(THROUGHPUT, images=1000, steps=50, attacked_share={"a": 0.8})
    assert plan["attacked"].tolist() == [800, 1000]
    assert plan["load_seconds"].tolist() == [1, 2]
    twice = planning.times(THROUGHPUT, images=1000, steps=50, attacked_share={"a": 0.8}, loads=2)
    assert twice["load_seconds"].tolist() == [2, 4]
    assert (twice["seconds"] - plan["seconds"]).tolist() == [1, 2]
    assert plan["clean_seconds"].tolist() == [10, 40]
    assert plan["attack_seconds"].tolist() == [800 * 50 / 40, 1000 * 50 / 10]
    assert plan["transfer_seconds"].tolist() == [18, 72]
    assert plan["seconds"].tolist() == [1 + 10 + 1000 + 18, 2 + 40 + 5000 + 72]
    assert plan["seconds_low"].tolist() == [1029, 2 + 5112 / 2]
    assert plan["seconds_high"].tolist() == [1029, 2 + 5112 * 2]


def test_the_simulated_study_costs_what_the_plan_adds_up():
    plan = planning.times(THROUGHPUT, images=1000, steps=50, attacked_share={"a": 0.8})
    matrix = planning.matrix(THROUGHPUT, plan["attacked"], images=1000, steps=50, size=0, batch=10)
    simulated = simulation.measured_by(Local(), 1, matrix)
    assert simulated.working == pytest.approx(plan[planning.STAGES[1:]].sum(axis=None))
    assert simulated.loading == plan["load_seconds"].sum()


def test_traffic_is_that_of_every_group_of_targets_reading_every_adversarial_image():
    assert planning.traffic({"images": 10, "adversarial": 100, "logits": 3, "predictions": 2}, 7, groups=3) == {
        "written": 115,
        "read": 7 * 10 + (4 + 3) * 100 + 5,
    }


def test_memory_is_weights_and_what_a_batch_adds():
    full = planning.memory(THROUGHPUT, "32-true", batch_size=16)
    assert full["weights_bytes"].tolist() == [40_000, 160_000]
    assert full["peak_bytes"].tolist() == [40_000 + 16_000, 160_000 + 112_000]
    assert planning.memory(THROUGHPUT, "bf16-true channels_last", 16)["weights_bytes"].tolist() == [20_000, 80_000]
    assert planning.memory(THROUGHPUT, "bf16-mixed", 16)["weights_bytes"].tolist() == [40_000, 160_000]


def test_disk_counts_every_kind_of_artefact():
    found = planning.disk([800, 1000], 1000, (3, 224, 224), 10)
    assert found == {
        "images": 1000 * 150_528,
        "adversarial": 1800 * 150_528,
        "logits": 2 * 1000 * 10 * 4,
        "predictions": 2 * 1800 * 4,
    }


def outcomes(rate: float, correlation: float) -> list[float]:
    """The probabilities that both, one and neither of two indicators of this rate and correlation are 1."""
    both = rate**2 + correlation * rate * (1 - rate)
    return [both, 2 * (rate - both), 1 - 2 * rate + both]


@pytest.mark.parametrize("rate", [0.06, 0.15, 0.40])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_standard_error_agrees_with_simulation_and_width_with_intervals(rate, correlation):
    images = 2000
    draws = np.random.default_rng(0).multinomial(images, outcomes(rate, correlation), size=20_000)
    values = sat(images, draws[:, 0], draws[:, 0] + draws[:, 1])
    assert planning.standard_error(rate, images, correlation) == pytest.approx(values.std(), rel=0.03)

    low, high = sat_interval(*draws[:500].T)
    width = float(np.mean(high - low))
    assert np.ptp(planning.expected_interval(rate, images, correlation)) == pytest.approx(width, rel=0.01)


@pytest.mark.parametrize("images", [20, 1000, 5000])
def test_standard_error_of_few_hits_and_few_misses_is_that_of_an_interval(images):
    """The delta method gives 0 for a rate of 1 and infinity for one of 0."""
    for rate in (0.0, 1e-4, 1.0):
        value, ends = sat(images, rate * images, rate * images), planning.expected_interval(rate, images)
        error = float(planning.standard_error(rate, images))
        assert np.ptp(ends) / 3.92 <= error * 1.0001
        assert error <= max(ends[1] - value, value - ends[0]) / 1.959
        assert error > 0
    delta = math.sqrt((1 - 0.3) / 0.3 / images)
    assert planning.standard_error(0.3, images) == pytest.approx(delta, rel=0.2 if images < 1000 else 0.01)


def test_one_fooled_image_and_a_rate_of_one_need_many_images():
    assert [planning.images_needed(rate, 0.1) for rate in (1.0, 0.002)] == [
        math.ceil(math.log(0.05 / 1.42) / -0.1),
        pytest.approx(4 * 1.96**2 * 0.998 / 0.002 / 0.1**2, rel=0.01),
    ]


@pytest.mark.parametrize(("images", "error"), [(5000, 0.027), (1000, 0.06)])
def test_standard_error_agrees_with_the_published_matrix(images, error):
    """The error of one SAT value at the mean of the published matrix, 2.665: a correlation of 0.2 explains it."""
    rate = math.exp(2.665) / 100
    assert planning.standard_error(rate, images, 0) < error < planning.standard_error(rate, images, 1)
    assert planning.standard_error(rate, images, 0.2) == pytest.approx(error, rel=0.03)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.floats(0.002, 0.998), st.floats(0.02, 0.5), st.floats(-0.5, 1)), min_size=8, max_size=8))
def test_images_needed_are_just_enough(cases):
    rate, width, correlation = np.array(cases).T
    needed = planning.images_needed(rate, width, correlation)
    assert (np.ptp(planning.expected_interval(rate, needed, correlation), axis=0) <= width * (1 + 1e-9)).all()
    fewer = np.ptp(planning.expected_interval(rate, needed - 1, correlation), axis=0)
    assert ((needed == 1) | (fewer > width * (1 - 1e-9))).all()


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_correlation_one_bounds_unequal_rates_too(weights):
    both, a_alone, b_alone, _ = np.array(weights) / sum(weights)
    rate = both + (a_alone + b_alone) / 2
    variance = both + (a_alone + b_alone) / 4 - rate**2
    assert planning.standard_error(rate, 1000) * (1 + 1e-9) >= math.sqrt(variance / 1000) / rate


@pytest.mark.parametrize("truth", [0.0, 0.25, 0.7])
def test_correlation_is_read_off_the_intervals_of_a_table_of_pairs(truth):
    rng = np.random.default_rng(1)
    rows = []
    for turn in range(40):
        rate = rng.uniform(0.08, 0.4)
        both, one, neither = (int(count) for count in rng.multinomial(1500, outcomes(rate, truth)))
        low, high = sat_interval(both, one, neither)
        rows.append((f"a{turn}", f"b{turn}", 1500, both + one, both, low, high))
    rows.append(("self", "self", 1500, 1490, 1490, 4.59, 4.60))
    rows.append(("few", "images", 20, 10, 10, 1.0, 4.0))
    pairs = pd.DataFrame(
        rows, columns=["model_a", "model_b", "images", "fooled_ab", "fooled_ba", "sat_low", "sat_high"]
    )
    assert planning.correlation(pairs) == pytest.approx(truth, abs=0.06)
    assert planning.correlation(pairs.tail(2)) is None
