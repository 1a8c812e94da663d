"""task=ensemble from the command line, with a small pool."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.special import softmax

from sat_exp.ensembles import contests
from sat_exp.report.results import Results
from sat_exp.runs.predictions import read as read_predictions
from sat_exp.store import Store
from sat_exp.store.inventory import items
from sat_exp.studies.ensemble import figures

POOL = "pool.models=[fashion_resnet,fashion_convnext,fashion_vit,fashion_mixer,fashion_swin,fashion_mobilenet]"
SMALL = ("task=ensemble", "pool=any", POOL, "dataset=fashion_mnist", "dataset.size=60", "attack.steps=4")
QUICK = (*SMALL, "hardware.threads=1", "task.runs=3", "task.splits=4", "task.resamples=20", "task.permutations=19")


def folder_of(outcome):
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


def tables_of(outcome):
    return {path.stem: pd.read_parquet(path) for path in (folder_of(outcome) / "tables").glob("*.parquet")}


def test_ensembles_are_counted_from_the_stored_logits(sat_exp, outputs):
    outcome = sat_exp(*QUICK, "task.sizes=[2,3]")
    assert outcome.status == 0, outcome.text
    tables, known = (
        tables_of(outcome),
        read_predictions((folder_of(outcome) / "predictions.npz").read_bytes(), "predictions.npz"),
    )
    assert tables["ensemble_sizes"]["ensembles"].tolist() == [15, 20]

    store = Store.at(outputs / "store")
    logits = {}
    for item in items(store):
        if item.kind == "logits" and item.rows == 60:
            chunks = zarr.open_array(store.backend.root / item.path, mode="r")
            logits[item.name] = np.asarray(chunks[:], np.float64)
    rows = tables["ensembles"].set_index("models")
    errors = {name: (known.clean[name] != known.labels).mean() for name in known.names}
    for models, row in rows.iterrows():
        members = models.split(" + ")
        assert row["members_error"] == pytest.approx(np.mean([errors[name] for name in members]))
        predicted = softmax([logits[name] for name in members], axis=-1).mean(axis=0).argmax(axis=1)
        assert row["error"] == pytest.approx((predicted != known.labels).mean())
        wrong = np.all([known.clean[name] != known.labels for name in members], axis=0)
        assert row["all_wrong"] == pytest.approx(wrong.mean())
    pairs = tables["pairs"].query("model_a != model_b").set_index(["model_a", "model_b"])["sat"]
    for (a, b), sat in pairs.items():
        assert rows["sat"][f"{a} + {b}"] == pytest.approx(sat)
    best = tables["recommended"].query("strategy == 'validation error' and place == 1 and size == 3")
    assert best["error"].item() == rows.query("size == 3")["error"].min()
    sentences = json.loads((folder_of(outcome) / "summary.json").read_text())["findings"]
    assert 2 <= len(sentences) <= 3
    assert outcome.text.startswith("\n".join(sentences)), "the answer comes first"
    drawn = figures.drawings(Results(tables, tables, {}, Path(), []))
    assert set(drawn) == {"ensembles", "ensembles_by_clusters", "ensemble_selection", "ensemble_calibration"}
    assert len(drawn["ensembles"].figure.axes) == 3 * 2
    assert len(drawn["ensembles"].data) == 35
    assert "differences between ensembles are mostly chance" in " ".join(outcome.text.split())


def test_stored_counts_are_not_counted_again(sat_exp, outputs, monkeypatch):
    """The counts of trios are stored, a file of those of pairs is missing."""
    logits = (*QUICK, "task.sizes=[2,3]", "task.average=logits")
    first = sat_exp(*logits)
    assert first.status == 0, first.text
    kept = [found for found in items(Store.at(outputs / "store")) if found.kind == "ensembles"]
    (pairs,) = (found.path for found in kept if (found.facts["average"], found.facts["size"]) == ("logits", 2))
    (outputs / "store" / pairs / "0.0").unlink()
    counted = []

    def counting(right, members):
        counted.append(members.shape)
        return np.asarray([(~right[row]).all(axis=0).sum() for row in members])

    monkeypatch.setattr(contests, "count_common_errors", counting)
    again = sat_exp(*logits)
    assert again.status == 0, again.text
    assert counted == [(15, 2)]
    pd.testing.assert_frame_equal(tables_of(first)["ensembles"], tables_of(again)["ensembles"])


def test_votes_have_no_calibration(sat_exp):
    outcome = sat_exp(*QUICK, "task.sizes=[3]", "task.average=votes", "task.most=10", "task.clusters=2")
    assert outcome.status == 0, outcome.text
    tables = tables_of(outcome)
    assert "calibration" not in tables
    assert tables["ensemble_sizes"][["ensembles", "whole"]].to_numpy().tolist() == [[10, False]]
    assert "of 20 ensembles of 3 a seeded sample of 10" in " ".join(outcome.text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("labels=own",), "labels=own: an ensemble's error needs true labels; give labels=truth"),
        (("task.average=mean",), "task.average=mean: give one of "),
        (("task.sizes=[8]",), "task.sizes[0]=8: give a value of 7 or less"),
        (("task.clusters=9",), "task.clusters=9: give 2 to 6, or null"),
        (("task.splits=0",), "task.splits=0: give a value of 1 or more"),
        (("task.sizes=[6]",), "no ensemble smaller than the pool of 6 models"),
        (("task.least_accuracy=0.999",), "no ensemble of 2 or 3 or 4 or 5 is within the limits"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(sat_exp, arguments, message):
    outcome = sat_exp(*QUICK, *arguments)
    assert outcome.status == 1
    assert message in " ".join(outcome.text.split())
