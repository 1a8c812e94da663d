"""Gains, changes and intervals, from tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from sat_exp.studies.distill.gains import changes, gains, interval, known_before, over_seeds

from .synthetic import QUICK, study


def test_gains_by_hand():
    trainings = pd.DataFrame(
        [
            ("s", "", 0, "s0", 0.80), ("s", "", 1, "s1", 0.82), ("s", "t", 0, "s0t", 0.85), ("s", "t", 1, "s1t", 0.81),
            ("s", "u", 0, "s0u", 0.90), ("r", "t", 0, "r0t", 0.99),
        ],
        columns=["student", "teacher", "seed", "network", "accuracy"],
    )  # fmt: skip
    pairs = pd.DataFrame(
        [("t", "s0", 3.0), ("t", "s1", 2.0), ("s0t", "t", 3.5), ("t", "s1t", 2.5), ("t", "r0t", 4.0), ("u", "s0", 1.0),
         ("u", "u", 4.6), ("u", "s0t", 1.25)],
        columns=["model_a", "model_b", "sat"],
    )  # fmt: skip
    teachers = pd.DataFrame({"teacher": ["t", "u"], "teacher_accuracy": [0.9, 0.95]})
    before = known_before(trainings, pairs, teachers)
    assert before[["student", "teacher", "seed", "sat_before"]].to_numpy().tolist() == [
        ["s", "t", 0, 3.0], ["s", "u", 0, 1.0], ["s", "t", 1, 2.0],
    ]  # fmt: skip
    bases = {"s0t": "CNN", "s1t": "CNN", "t": "CNN"}
    result = gains(trainings, pairs, teachers, bases)
    # r has no baseline, and the student of u no similarity after it was taught
    assert result["gain"].tolist() == pytest.approx([0.05, -0.01])
    assert result["sat_before"].tolist() == [3.0, 2.0]
    assert result["sat_change"].tolist() == [0.5, 0.5]
    # after its teacher t, s is also more like u, by half as much; of the second seed nothing is known
    assert result["change_with_others"].to_numpy() == pytest.approx([0.25, np.nan], nan_ok=True)
    assert result["beyond_others"].to_numpy() == pytest.approx([0.25, np.nan], nan_ok=True)
    assert result["same_base"].all()
    alone = trainings[trainings["teacher"] == ""]
    assert gains(alone, pairs, teachers, bases).empty
    (mean,) = over_seeds(result).to_dict("records")
    assert mean["gain"] == pytest.approx(0.02)
    assert (mean["seeds"], mean["teacher_accuracy"]) == (2, 0.9)
    assert (mean["gain_least"], mean["gain_most"]) == pytest.approx((-0.01, 0.05))


def test_intervals_draw_whole_students_and_whole_teachers():
    pairs = over_seeds(study(students=3, teachers=4))
    seen = []
    interval(pairs, lambda times: seen.append(times) or 0.0, 30, 0)
    for times in seen:
        square = pairs.assign(times=times).pivot(index="student", columns="teacher", values="times").to_numpy()
        assert np.linalg.matrix_rank(square) <= 1
        assert square.sum() == 12
    low, high = interval(pairs, lambda times: float(times @ pairs["gain"] / times.sum()), 300, 0)
    assert low < pairs["gain"].mean() < high


def test_changes_are_means_with_their_share_above_zero():
    pairs = over_seeds(study()).assign(gain=[0.01, -0.01] * 6)
    result = changes(pairs, **QUICK).set_index(["quantity", "group"])
    assert result.loc[("gain", "same base architecture")].to_dict() | {"low": 0, "high": 0} == pytest.approx(
        {"pairs": 6, "mean": -0.01, "low": 0, "high": 0, "positive": 0}
    )
    assert result.loc[("gain", "all"), ["mean", "positive"]].tolist() == pytest.approx([0, 0.5])
    assert result.loc[("sat_change", "all"), ["low", "mean", "high"]].tolist() == pytest.approx([0.2, 0.2, 0.2])
