"""task=report from the command line: several runs side by side."""

import json

import pandas as pd
import pytest

from ...command import QUICK

POOL = ("task=matrix", "pool=bundled", "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_mixer]")


@pytest.fixture
def two(sat_exp, outputs):
    for epsilon in (8, 24):
        outcome = sat_exp(*POOL, *QUICK, f"attack.epsilon={epsilon}", f"name=sides/{epsilon}")
        assert outcome.status == 0, outcome.text
    return [outputs / f"sides/{epsilon}" for epsilon in (8, 24)]


def test_two_runs_side_by_side(sat_exp, outputs, two):
    outcome = sat_exp("task=report", f"task.runs=[{two[0]},{two[1]}]", "name=sides/page", "tracking=disabled")
    assert outcome.status == 0, outcome.text
    folder = outputs / "sides/page"
    found = pd.read_parquet(folder / "tables/run_models.parquet")
    for path, label in zip(two, ("8", "24"), strict=True):
        measured = pd.read_parquet(path / "tables/models.parquet").set_index("model")
        rows = found[found["run"] == label].set_index("model")
        pd.testing.assert_series_equal(rows["white_box_success"], measured["white_box_success"])
        assert set(rows["epsilon"]) == {float(label)}
    page = (folder / "report.html").read_text()
    summary = json.loads((folder / "summary.json").read_text())
    assert all(sentence in page for sentence in summary["findings"])
    assert summary["findings"][0] in outcome.text
    assert {path.name for path in (folder / "figures").glob("*.png")} == {"sat_by_run.png", "models_by_run.png"}


def test_a_sweep_over_settings_ends_with_its_runs_side_by_side(sat_exp, two, outputs):
    outcome = sat_exp("-m", *POOL, *QUICK, "attack.epsilon=8,24")
    assert outcome.status == 0, outcome.text
    (folder,) = (outputs / "sweeps/matrix").glob("side_by_side,attack.epsilon=8,24-*")
    found = pd.read_parquet(folder / "tables/runs.parquet")
    assert found["run"].tolist() == ["attack.epsilon=8", "attack.epsilon=24"]
    assert found["epsilon"].tolist() == [8, 24]
    assert found["comparable"].all()
    assert f"report: {folder / 'report.html'}" in outcome.text


def test_a_sweep_of_one_comparable_run_ends_as_it_is(sat_exp, two, outputs):
    outcome = sat_exp("-m", *POOL, *QUICK, "attack.epsilon=8", "seed=0")
    assert outcome.status == 0, outcome.text
    assert not list((outputs / "sweeps/matrix").glob("side_by_side*epsilon=8-*"))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["task.runs=[{0}]"], "task.runs needs two runs or more"),
        (["task.runs=[{0},{0}]"], "twice: give each run once"),
        (["task.runs=[{0},{1}]", "task.run={0}"], "give one of the two"),
    ],
)
def test_wrong_runs_are_refused(sat_exp, two, typed, message):
    outcome = sat_exp("task=report", *(text.format(*two) for text in typed), "tracking=disabled")
    assert outcome.status == 1
    assert message in outcome.text
