"""The tasks, run as a user types them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_exp.modules.training import Training

from .conftest import QUICK

PAIR = ("fashion_resnet", "fashion_convnext")


def folder_of(outcome):
    """The run's folder, from the last line that a run prints."""
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


def tables(outcome):
    return {name: pd.read_parquet(folder_of(outcome) / f"tables/{name}.parquet") for name in ("models", "pairs")}


def test_attack_reports_one_model(sat_exp):
    outcome = sat_exp(*QUICK, "model=fashion_resnet")
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    (row,) = pd.read_csv(folder / "tables/models.csv").to_dict("records")
    assert row["clean_accuracy"] > 0.7
    assert row["attacked"] == row["clean_correct"] > 0
    assert row["mean_linf"] <= 8
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["choices"]["model"] == "fashion_resnet"
    assert summary["attack"] == {"name": "pgd", "epsilon": 8, "step_size": 1, "steps": 4, "random_start": True}
    shown = np.load(folder / "examples.npz")
    assert np.abs(shown["clean"].astype(int) - shown["adversarial"]).max() <= 8


def test_pair_and_matrix_agree(sat_exp):
    pair = sat_exp(*QUICK, "task=transfer", f"model={PAIR[0]}", f"model@target={PAIR[1]}")
    assert pair.status == 0, pair.text
    matrix = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{PAIR[1]},fashion_resnet_sgd,{PAIR[0]}]")
    assert matrix.status == 0, matrix.text
    (one,) = tables(pair)["pairs"].query("model_a != model_b").to_dict("records")
    pairs = tables(matrix)["pairs"]
    (same,) = pairs[(pairs.model_a == PAIR[1]) & (pairs.model_b == PAIR[0])].to_dict("records")
    for column in ("images", "sat", "sat_low", "sat_high"):
        assert one[column] == same[column]
    assert one["transfer_rate_ab"] == same["transfer_rate_ba"]
    assert one["transfer_rate_ba"] == same["transfer_rate_ab"]


def test_a_sweep_goes_on_after_a_failure(sat_exp):
    outcome = sat_exp("-m", *QUICK, "task=transfer", "model=fashion_resnet", "model@target=resnet18,fashion_convnext")
    assert outcome.status == 1
    assert "1 of 2 jobs failed" in outcome.text
    assert "choose a fitting dataset" in outcome.text
    assert "fashion_resnet and fashion_convnext on 40 images" in outcome.text


def test_report_draws_anew(sat_exp):
    made = sat_exp(*QUICK, "model=fashion_resnet")
    folder = folder_of(made)
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    outcome = sat_exp("task=report", f"task.run={folder}")
    assert outcome.status == 0, outcome.text
    assert (folder / "report.html").read_text() == page


def test_random_weights_only_when_typed_and_labelled(sat_exp):
    outcome = sat_exp(*QUICK, "model=fashion_resnet", "model.pretrained=false")
    assert outcome.status == 0, outcome.text
    assert "Untrained networks: fashion_resnet" in " ".join(outcome.text.split())


def test_training_writes_weights_that_load(sat_exp, fashion_mnist, tmp_path):
    arguments = (
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.size=40", "task.epochs=2",
        "task.batch_size=50", f"task.directory={tmp_path}/trained", "hardware.threads=1",
    )  # fmt: skip
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    record = json.loads((tmp_path / "trained/fashion_nfnet.json").read_text())
    assert record["test_accuracy"] > 0.3
    assert "trained already" in sat_exp(*arguments).text
    weights = f"model.checkpoint={tmp_path}/trained/fashion_nfnet.safetensors"
    attacked = sat_exp(*QUICK, "model=fashion_nfnet", weights)
    assert attacked.status == 0, attacked.text


def test_training_that_died_continues_at_its_last_epoch(sat_exp, fashion_mnist, tmp_path, monkeypatch):
    arguments = (
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.size=40", "task.epochs=3",
        "task.finishing_epochs=1", f"task.directory={tmp_path}/trained", "hardware.threads=1",
    )  # fmt: skip
    epochs: list[int] = []
    step = Training.training_step

    def dying(module, batch, index):
        epochs.append(module.current_epoch)
        if module.current_epoch == 2:
            raise RuntimeError("the power went")
        return step(module, batch, index)

    monkeypatch.setattr(Training, "training_step", dying)
    died = sat_exp(*arguments)
    assert died.status != 0
    assert "the power went" in died.text
    assert set(epochs) == {0, 1, 2}

    epochs.clear()
    monkeypatch.setattr(Training, "training_step", lambda *given: epochs.append(given[0].current_epoch) or step(*given))
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    assert epochs == sorted(epochs[: epochs.index(0)]) + [0] * epochs.count(0)
    assert set(epochs[: epochs.index(0)]) == {2}


@pytest.fixture
def fashion_mnist(tmp_path):
    """A folder with the four files: 1,500 of the bundled images to train on, 300 others to test on."""
    import gzip

    from sat_exp.datasets.fashion_mnist import BUNDLED, read_idx

    root = tmp_path / "fashion"
    root.mkdir()
    for what in ("images-idx3", "labels-idx1"):
        values = read_idx(BUNDLED / f"t10k-{what}-ubyte.gz")
        for part, chosen in (("train", values[:1500]), ("t10k", values[1500:1800])):
            header = bytes([0, 0, 8, chosen.ndim]) + np.array(chosen.shape, ">u4").tobytes()
            (root / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(header + chosen.tobytes()))
    return root
