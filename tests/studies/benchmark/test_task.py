"""task=benchmark from the command line, its findings and figures."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from sat_exp.studies.benchmark import findings

from .made import made, written


def test_a_benchmark_of_a_finished_run(sat_exp, tmp_path):
    made(tmp_path / "measured", ("agreement", "disagreement", "jensen_shannon"))
    groups = written(tmp_path)
    typed = [f"task.runs=[{tmp_path}/measured]", f"task.groups={groups}", "score.resamples=50"]
    outcome = sat_exp("task=benchmark", *typed)
    assert outcome.status == 0, outcome.text
    folder = Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])
    found = pd.read_parquet(folder / "tables/recognition.parquet").set_index("measure")
    assert set(found.index) == {"sat", "agreement", "disagreement", "jensen_shannon"}
    assert found.loc["sat", ["auprc", "violation_rate", "within", "pairs"]].tolist() == [1, 0, 2, 6]
    assert found["distance"].to_dict() == {
        "sat": False, "agreement": False, "disagreement": True, "jensen_shannon": False,
    }  # fmt: skip
    relations = pd.read_parquet(folder / "tables/output_relations.parquet")
    assert set(relations["reference"]) == {"accuracy", "agreement", "jensen_shannon"}
    assert pd.read_parquet(folder / "tables/group_members.parquet")["run"].unique().tolist() == ["measured"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["findings"][0].startswith("t: SAT recognises the groups best, AUPRC 1.00")
    page = (folder / "report.html").read_text()
    assert summary["findings"][0] in page
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == {"recognition", "outputs"}
    assert len(summary["runs"][0]["digest"]) > 8
    assert summary["warnings"] == [
        "SAT of measured: the attack is weak, with white-box success below 99% on 1 of 4 models (least: a0, 90.0%), "
        "whose SAT is too low"
    ]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["task.runs=[{0}/measured,{0}/measured]", "task.groups={0}/groups.csv"], "two folders called measured"),
        (["task.runs=[{0}/nowhere]", "task.groups={0}/groups.csv"], "task.runs"),
        (["task.runs=[{0}/measured]", "task.groups={0}/nothing.csv"], "task.groups"),
        (["task.runs=[]", "task.groups={0}/groups.csv"], "task.runs"),
        (["task.groups={0}/groups.csv"], "task.runs"),
    ],
)
def test_wrong_input_is_refused_before_a_folder_exists(sat_exp, tmp_path, typed, message):
    made(tmp_path / "measured")
    written(tmp_path)
    outcome = sat_exp("task=benchmark", "name=refused", *(argument.format(tmp_path) for argument in typed))
    assert outcome.status != 0
    assert message in outcome.text
    assert "Traceback" not in outcome.text


def row(measure, auprc, above=(0.0, 0.0, 0.0), low=None, pairs=105):
    ends = {"auprc": auprc, "auprc_low": auprc - 0.1 if low is None else low, "auprc_high": auprc + 0.1}
    lead = dict(zip(("auprc_above_sat", "auprc_above_sat_low", "auprc_above_sat_high"), above, strict=True))
    return {"test": "noise", "measure": measure, "chance": 0.29, "pairs": pairs} | ends | lead


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        (
            [row("cka", 0.9, (0.2, 0.1, 0.3)), row("sat", 0.7), row("kappa", 0.5, (-0.2, -0.3, 0.1))],
            [
                "noise: cka recognises the groups best, AUPRC 0.90 (0.80 to 1.00); SAT has 0.70 (0.60 to 0.80); chance "
                "is 0.29.",
                "noise: by intervals, above SAT are cka; 1 of 2 do not differ from it with certainty.",
            ],
        ),
        (
            [row("sat", 0.35, low=0.2), row("kappa", 0.3, (-0.05, -0.1, 0.1))],
            [
                "noise: SAT recognises the groups best, AUPRC 0.35 (0.20 to 0.45); chance is 0.29.",
                "noise: it is uncertain that SAT recognises the groups at all, its interval includes chance.",
                "noise: no measure differs from SAT with certainty.",
            ],
        ),
        (
            [row("sat", 0.9), row("kappa", 0.3, (-0.6, -0.7, -0.5), pairs=95)],
            [
                "noise: SAT recognises the groups best, AUPRC 0.90 (0.80 to 1.00); chance is 0.29.",
                "noise: by intervals, below SAT are kappa.",
                "noise: without a value for some of the 105 pairs, which are left out: kappa (10).",
            ],
        ),
        (
            [row("cka", 0.9, (0.2, 0.0, 0.3)), row("kappa", 0.9, (0.2, 0.0, 0.3)), row("sat", 0.7)],
            [
                "noise: cka, kappa recognise the groups best, AUPRC 0.90 (0.80 to 1.00); SAT has 0.70 (0.60 to 0.80); "
                "chance is 0.29.",
                "noise: no measure differs from SAT with certainty.",
            ],
        ),
        ([row("sat", 0.9)], ["noise: SAT recognises the groups best, AUPRC 0.90 (0.80 to 1.00); chance is 0.29."]),
    ],
)
def test_what_is_found_is_said_with_its_doubts(rows, sentences):
    assert findings.sentences({"recognition": pd.DataFrame(rows)}) == sentences
