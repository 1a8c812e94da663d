"""task=compare from the command line: with the published matrix, with a measured run, and with wrong input."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_exp import runs
from sat_exp.names import CONF, aliases
from sat_exp.similarity import matrix

from ...command import PUBLISHED, QUICK

NINE = {
    *("resnetv2_101", "resnetv2_50", "resnetv2_50d_evos", "haloregnetz_b", "tnt_s_patch16_224", "gmlp_s16_224"),
    *("vit_small_r26_s32_224", "vit_small_patch16_224", "vit_base_patch32_224"),
}
POOL = "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]"


def folder_of(outcome):
    """The run's folder, from the last line that a comparison prints."""
    assert outcome.status == 0, outcome.text
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


def agreement(folder, group="all"):
    table = pd.read_parquet(folder / "tables/agreement.parquet")
    return table[table["group"] == group].set_index("measure")


@pytest.fixture
def measured(tmp_path):
    """The folder of a run that found the published values but for 0.2 in one pair, under the names of model files."""
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published matrix at {PUBLISHED}")
    sat = pd.read_csv(PUBLISHED, index_col=0).rename(index=aliases(CONF), columns=aliases(CONF))
    rows, columns = np.triu_indices(len(sat))
    pairs = pd.DataFrame(
        {"model_a": sat.index[rows], "model_b": sat.index[columns], "sat": sat.to_numpy()[rows, columns]}
    )
    pairs = pairs.sample(frac=1, random_state=0)
    pairs.loc[(pairs.model_a == "resnet50") & (pairs.model_b == "dla102x2"), "sat"] += 0.2
    pairs.loc[(pairs.model_b == "resnet50") & (pairs.model_a == "dla102x2"), "sat"] += 0.2
    pairs["sat_low"], pairs["sat_high"] = pairs["sat"] - 0.05, pairs["sat"] + 0.05
    rates = [f"transfer_rate_{way}{end}" for way in ("ab", "ba") for end in ("", "_low", "_high")]
    pairs = pairs.assign(
        family_a="one", family_b="one", images=5000, fooled_ab=2500, fooled_ba=2500, **dict.fromkeys(rates, 0.5)
    )
    settings = {"score": {"confidence": 0.9}, "labels": "own"}
    with runs.drafted(tmp_path / "run") as place:
        runs.fill(place, {"settings": settings}, {"pairs": pairs})
    return tmp_path / "run"


def test_a_run_beside_the_published_matrix(sat_exp, measured):
    outcome = sat_exp(
        "task=compare", f"reference={PUBLISHED}", f"task.run={measured}", "score.resamples=20", "name=beside"
    )
    folder = folder_of(outcome)
    assert (folder / "figures/comparison.svg").is_file()
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["set_aside"]) == {aliases(CONF).get(name, name) for name in NINE}
    assert summary["only_measured"] == summary["only_reference"] == []
    assert len(summary["models"]) == 69
    for group, models in (("all", 69), ("without mean = std = 0.5", 60)):
        found = agreement(folder, group)
        assert set(found["models"]) == {models}
        assert found.loc["pearson", "value"] == pytest.approx(1, abs=0.001)
        assert found.loc["mean_absolute_difference", "value"] == pytest.approx(0.2 / (models * (models - 1) / 2))
        assert found.loc["same_nearest", "value"] >= models - 2
    (row,) = pd.read_csv(folder / "tables/disagreements.csv").query("difference > 0.1").to_dict("records")
    assert {row["model_a"], row["model_b"]} == {"resnet50", "dla102x2"}
    ours = 0.05 / 1.6449  # an interval of 90%
    rates = np.exp([row["reference"], 2.665]) / 100
    odds = rates / (1 - rates)
    assert row["error"] == pytest.approx(np.hypot(ours, 0.027 * np.sqrt(odds[1] / odds[0])), rel=0.001)
    assert len(pd.read_parquet(folder / "tables/pairs_compared.parquet")) == 69 * 70 // 2
    assert "resnet50" in outcome.text
    assert "scored with labels=own, not with true labels" in outcome.text
    assert "stand-ins, other networks than the reference's: gluon_xception65" in outcome.text


def test_fewer_images_in_the_reference_are_a_larger_error(sat_exp, measured):
    arguments = ("task=compare", f"reference={PUBLISHED}", f"task.run={PUBLISHED}", "score.resamples=20")
    many = agreement(folder_of(sat_exp(*arguments, "name=many")))
    few = agreement(folder_of(sat_exp(*arguments, "name=few", "reference_images=1250")))
    noise = "mean_absolute_difference", "expected"
    assert few.loc[noise] == pytest.approx(2 * many.loc[noise], rel=1e-3)
    assert many.loc["same_nearest", "value"] == 69


def test_the_newest_measured_matrix_is_compared(sat_exp, tmp_path):
    run = sat_exp(*QUICK, "task=matrix", "pool=any", POOL)
    assert run.status == 0, run.text
    tables = Path(re.search(r"report: (.+)/report\.html", run.text)[1]) / "tables"
    matrix(pd.read_parquet(tables / "pairs.parquet")).to_csv(tmp_path / "reference.csv")
    outcome = sat_exp("task=compare", "reference=reference.csv", "reference_images=40", "score.resamples=20")
    folder = folder_of(outcome)
    found = agreement(folder)
    assert found.loc["mean_absolute_difference", "value"] == pytest.approx(0)
    assert found.loc["same_nearest", "value"] == 3
    assert json.loads((folder / "summary.json").read_text())["measured"] == str(tables.parent)


ABC = ",a,b,c\na,4.6,2,3\nb,2,4.6,3\nc,3,3,4.6\n"
BAD = {
    "no reference": ([], "reference has no value: give reference="),
    "no such file": (
        ["reference=square.cvs"],
        "reference=square.cvs: give the path of a folder or a file that exists, such as square.csv",
    ),
    "not square": (["reference=oblong.csv"], "not a square matrix"),
    "a word in it": (["reference=word.csv"], "has 'x' at a, b: give a number"),
    "no such run": (
        ["reference=square.csv", "task.run=nowhere"],
        "task.run=nowhere: give the path of a folder or a file that exists",
    ),
    "no such second file": (["reference=square.csv", "task.run=nowhere.csv"], "task.run=nowhere.csv: give the path of"),
    "other models": (
        ["reference=square.csv", "task.run=others.csv"],
        "0 models in common, where 3 are needed: others has x, y, z; square has a, b, c",
    ),
    "no images": (["reference=square.csv", "reference_images=0"], "reference_images=0: give a value of 1 or more"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(sat_exp, tmp_path, arguments, message):
    (tmp_path / "square.csv").write_text(ABC)
    (tmp_path / "others.csv").write_text(ABC.translate(str.maketrans("abc", "xyz")))
    (tmp_path / "oblong.csv").write_text(",a,b\na,4.6,2\n")
    (tmp_path / "word.csv").write_text(",a,b\na,4.6,x\nb,2,4.6\n")
    outcome = sat_exp("task=compare", *arguments)
    assert outcome.status != 0
    assert message in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text


def test_models_without_a_file_are_said(sat_exp, tmp_path):
    (tmp_path / "square.csv").write_text(ABC)
    outcome = sat_exp(
        "task=compare", "reference=square.csv", "task.run=square.csv", "score.resamples=5", "name=unknown"
    )
    assert outcome.status == 0, outcome.text
    assert "models without a file, counted as not of mean = std = 0.5: 3, such as a" in outcome.text
