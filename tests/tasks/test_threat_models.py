"""Matrices under threat models other than PGD's, from the command line to the page."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_exp.runs.predictions import read as read_predictions

from ..command import QUICK, Outcome

MODELS = ("fashion_resnet", "fashion_vit", "fashion_mixer")
MATRIX = (*QUICK, "task=matrix", "pool=any", f"pool.models=[{','.join(MODELS)}]")
L2 = ("attack=l2_pgd", "attack.epsilon=500", "attack.step_size=100")
TARGETED = ("attack=targeted_pgd", "attack.epsilon=24", "attack.step_size=4", "attack.goal=least_likely")


def folder_of(outcome: Outcome) -> Path:
    return Path(re.search(r"report: (.*)/report\.html", outcome.text)[1])


def test_a_matrix_under_l2_pgd(sat_exp):
    outcome = sat_exp(*MATRIX, *L2)
    assert outcome.status == 0, outcome.text
    assert "L2PGD (L2 ≤ 500/255, 4 steps)" in outcome.text
    folder = folder_of(outcome)
    models = pd.read_csv(folder / "tables/models.csv")
    assert ((models["mean_l2"] > 450) & (models["mean_l2"] <= 500)).all()
    assert (models["mean_linf"] > 24).all()
    assert models["white_box_success"].min() > 0.8
    stated = json.loads((folder / "summary.json").read_text())["attack"]["threat"]
    assert stated == {"norm": "l2", "epsilon": 500.0, "goal": "untargeted", "text": "L2 ≤ 500/255"}
    assert "L2 ≤ 500/255" in (folder / "report.html").read_text()
    assert read_predictions((folder / "predictions.npz").read_bytes(), "predictions.npz").goals == {}


def test_a_matrix_under_targeted_pgd(sat_exp):
    outcome = sat_exp(*MATRIX, *TARGETED)
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    known = read_predictions((folder / "predictions.npz").read_bytes(), "predictions.npz")
    assert set(known.goals) == set(MODELS)
    models, pairs = (pd.read_csv(folder / f"tables/{name}.csv") for name in ("models", "pairs"))
    for row in models.itertuples():
        attacked = known.clean[row.model] == known.labels
        goals = known.goals[row.model]
        assert ((goals >= 0) == attacked).all()
        assert (goals[attacked] != known.labels[attacked]).all()
        assert row.attacked == attacked.sum()
        assert row.fooled == (known.adversarial[row.model, row.model] == goals)[attacked].sum()
    pair = pairs.query("model_a != model_b").iloc[0]
    a, b = pair["model_a"], pair["model_b"]
    common = (known.clean[a] == known.labels) & (known.clean[b] == known.labels)
    assert pair["fooled_ab"] == (known.adversarial[a, b] == known.goals[a])[common].sum()
    assert pair["fooled_ab"] < (known.adversarial[a, b] != known.labels)[common].sum()
    page = (folder / "report.html").read_text()
    assert "targeted at the least likely class" in page
    assert "fooled meaning that the prediction becomes the goal class of the attack" in page
    assert pd.read_csv(folder / "tables/examples.csv")["goal"].between(0, 9).all()


@pytest.mark.parametrize("attack", [L2, TARGETED], ids=["l2", "targeted"])
def test_the_same_command_again_computes_nothing_and_batches_do_not_matter(sat_exp, outputs, attack):
    stored = outputs / "store/adversarial"
    first, second = (sat_exp(*MATRIX[:-1], f"pool.models=[{','.join(MODELS[:2])}]", *attack, f"name={n}") for n in "ab")
    assert first.status == second.status == 0, first.text + second.text
    before = {path for path in stored.iterdir() if path.is_dir()}
    one = sat_exp(*QUICK, *attack, "task=attack", f"model={MODELS[0]}", "hardware.batch_size=7", "name=one")
    assert one.status == 0, one.text
    assert {path for path in stored.iterdir() if path.is_dir()} == before
    known, again = (
        read_predictions((outputs / name / "predictions.npz").read_bytes(), "predictions.npz") for name in "ab"
    )
    for way, classes in known.adversarial.items():
        np.testing.assert_array_equal(classes, again.adversarial[way])
    for source, goals in known.goals.items():
        np.testing.assert_array_equal(goals, again.goals[source])
