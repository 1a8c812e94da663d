"""task=place with a matrix that was measured in another checkout, whose files of weights lie elsewhere."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sat_exp import models, runs

from ...command import QUICK
from ...tasks.outcomes import folder_of

THREE = "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]"
BUNDLED = Path(models.__file__).parent / "bundled"


@pytest.fixture
def elsewhere(sat_exp, outputs, tmp_path):
    """Makes a matrix as another checkout would have written it. change: of the facts of each of its models."""
    if not (outputs / "elsewhere" / "manifest.json").exists():
        outcome = sat_exp(*QUICK, "task=matrix", "pool=any", THREE, "name=elsewhere")
        assert outcome.status == 0, outcome.text
    run = runs.Run.open(outputs / "elsewhere")

    def make(change):
        folder = tmp_path / "published"
        run.copy(run.files, folder)
        path = folder / "summary.json"
        summary = json.loads(path.read_text())
        for facts in summary["models"].values():
            change(facts)
        path.write_text(json.dumps(summary))
        runs.seal(folder)
        return folder

    return make


def moved(facts, folder="/nowhere/checkout"):
    facts["checkpoint"] = f"{folder}/{Path(facts['checkpoint']).name}"


def place(sat_exp, folder, model):
    return sat_exp("task=place", f"model={model}", f"task.run={folder}", "hardware.threads=1")


@pytest.mark.parametrize(
    ("model", "folder"),
    [("fashion_vit", "a" * 5000), ("fashion_convnext", "/nowhere/checkout")],
    ids=["a new model", "one of the matrix"],
)
def test_bundled_weights_are_found_wherever_the_matrix_was_measured(sat_exp, elsewhere, model, folder):
    outcome = place(sat_exp, elsewhere(lambda facts: moved(facts, folder)), model)
    assert outcome.status == 0, outcome.text
    summary = json.loads((folder_of(outcome) / "summary.json").read_text())
    assert Path(summary["models"]["fashion_resnet"]["checkpoint"]) == BUNDLED / "fashion_resnet.safetensors"
    assert not [warning for warning in summary["warnings"] if "other weights" in warning]


def test_a_copy_of_the_weights_is_the_same_model(sat_exp, elsewhere, tmp_path):
    shutil.copytree(BUNDLED, tmp_path / "other")
    outcome = place(sat_exp, elsewhere(lambda facts: moved(facts, tmp_path / "other")), "fashion_convnext")
    assert outcome.status == 0, outcome.text


@pytest.mark.parametrize(
    "change",
    [{"parameters": 7}, {"checkpoint": "/nowhere/mine.safetensors"}, {"checkpoint": "a\0b"}],
    ids=["other facts", "another file", "no path"],
)
def test_another_model_is_not_taken_for_the_bundled_one(sat_exp, elsewhere, change):
    def changed(facts):
        moved(facts)
        facts.update(change)

    outcome = place(sat_exp, elsewhere(changed), "fashion_vit")
    assert outcome.status == 1
    assert "error: " in outcome.text.strip().splitlines()[-1]
    assert "Traceback" not in outcome.text


def test_weights_that_changed_since_are_a_warning(sat_exp, elsewhere):
    folder = elsewhere(moved)
    for suffix, read, write in (("parquet", pd.read_parquet, "to_parquet"), ("csv", pd.read_csv, "to_csv")):
        path = folder / f"tables/store.{suffix}"
        table = read(path)
        table.loc[(table["kind"] == "logits") & (table["name"] == "fashion_resnet"), "key"] = "0" * 24
        getattr(table, write)(path, index=False)
    runs.seal(folder)
    outcome = place(sat_exp, folder, "fashion_vit")
    assert outcome.status == 0, outcome.text
    (warning,) = json.loads((folder_of(outcome) / "summary.json").read_text())["warnings"]
    assert warning.startswith("fashion_resnet has other weights or other code here")
