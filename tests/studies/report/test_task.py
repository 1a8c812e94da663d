"""task=report from the command line: several runs side by side, alone and at the end of a sweep."""

import json

import pandas as pd
import pytest

from ...command import QUICK

POOL = ("task=matrix", "pool=bundled", "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_mixer]")


def test_a_sweep_over_settings_ends_with_its_runs_side_by_side(sat_exp, outputs):
    outcome = sat_exp("-m", *POOL, *QUICK, "attack.epsilon=8,24")
    assert outcome.status == 0, outcome.text
    (folder,) = (outputs / "sweeps/matrix").glob("side_by_side,attack.epsilon=8,24-*")
    assert f"report: {folder / 'report.html'}" in outcome.text
    found = pd.read_parquet(folder / "tables/runs.parquet")
    assert found["run"].tolist() == ["attack.epsilon=8", "attack.epsilon=24"]
    assert found["epsilon"].tolist() == [8, 24]
    assert found["comparable"].all()
    combined = pd.read_parquet(folder / "tables/run_models.parquet")
    summary = json.loads((folder / "summary.json").read_text())
    for described in summary["runs"]:
        measured = pd.read_parquet(f"{described['folder']}/tables/models.parquet").set_index("model")
        rows = combined[combined["run"] == described["run"]].set_index("model")
        pd.testing.assert_series_equal(rows["white_box_success"], measured["white_box_success"])
    assert summary["findings"][0] == "attack.epsilon=8, attack.epsilon=24 differ in ε (8, 24)."
    page = (folder / "report.html").read_text()
    assert all(sentence in page for sentence in summary["findings"])
    assert {path.name for path in (folder / "figures").glob("*.png")} == {"sat_by_run.png", "models_by_run.png"}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["task.runs=[{0}]"], "task.runs needs two runs or more"),
        (["task.runs=[{0},{0}]"], "twice: give each run once"),
        (["task.runs=[{0},{1}]", "task.run={0}"], "give one of the two"),
    ],
)
def test_wrong_runs_are_refused(sat_exp, make, tmp_path, typed, message):
    folders = [make(tmp_path / name) for name in "ab"]
    outcome = sat_exp("task=report", *(text.format(*folders) for text in typed), "tracking=disabled")
    assert outcome.status == 1
    assert message in outcome.text
