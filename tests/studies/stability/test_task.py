"""task=stability on four small networks, and what it refuses."""

import json

import numpy as np
import pytest

from sat_exp import runs

from ...command import QUICK
from ...tasks.outcomes import folder_of

POOL = "pool.models=[fashion_resmlp,fashion_convnext,fashion_convnext_seed1,fashion_swin]"
STUDY = (*QUICK, "task=stability", "pool=any", POOL, "task.resamples=20")


@pytest.fixture
def study(sat_exp):
    """Runs the study with some changes."""

    def run(*changes: str, **more: str):
        texts = ",".join(f'"{change}"' for change in changes)
        return sat_exp(*STUDY, f"task.changes=[{texts}]", *(f"{key}={value}" for key, value in more.items()))

    return run


def test_variants_are_measured_and_compared(study):
    outcome = study("attack=noise", "attack=fgsm attack.step_size=3", "attack.steps=4", "seed=1")
    assert outcome.status == 0, outcome.text
    run = runs.Run.open(folder_of(outcome))
    tables = run.tables()
    variants = tables["variants"].set_index("variant")
    names = ["reference", "attack=noise", "attack=fgsm attack.step_size=3", "attack.steps=4", "seed=1"]
    assert variants.index.tolist() == names
    assert variants["factor"].tolist() == ["reference", "attack", "attack", "steps", "seed"]
    assert variants["attack"].tolist()[:3] == [
        "PGD, L∞ ≤ 8/255, 4 steps",
        "Noise, L∞ ≤ 8/255",
        "PGD, L∞ ≤ 8/255, 1 step",
    ]
    agreement = tables["variant_agreement"].set_index("variant")
    same = agreement.loc["attack.steps=4"]  # equal to the reference
    assert same[["spearman", "rand", "same_nearest", "moved"]].tolist() == pytest.approx([1, 1, 1, 0])
    assert variants.loc["attack=noise", "white_box_success"] < variants.loc["reference", "white_box_success"]
    contrast = tables["variant_contrast"].set_index("variant")
    assert contrast.loc["reference", ["relatives", "strangers"]].tolist() == [1, 5]
    summary = json.loads((folder_of(outcome) / "summary.json").read_text())
    assert summary["findings"]
    assert {"stability.png", "variants.png"} <= {path.name for path in (folder_of(outcome) / "figures").iterdir()}


def test_the_reference_is_the_matrix(study, sat_exp):
    outcome = study("seed=1")
    assert outcome.status == 0, outcome.text
    found = runs.Run.open(folder_of(outcome)).table("variant_pairs").query("variant == 'reference'")
    matrix = sat_exp(*QUICK, "task=matrix", "pool=any", POOL, "name=matrix")
    pairs = runs.Run.open(folder_of(matrix)).table("pairs").query("model_a != model_b")
    both = found.merge(pairs, on=["model_a", "model_b"])
    assert len(both) == 6
    np.testing.assert_allclose(both["sat_x"], both["sat_y"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("dataset.size=20", "dataset.size is the same for all variants"),
        ("pool=bundled", "pool is the same for all variants"),
        ("attack=no_such", "no_such"),
        ("attack.epsilon=-1", "epsilon"),
        ("attack.epsilom=3", "epsilom"),
        ("labels=own", "labels is the same for all variants"),
        (" ", "a change is empty"),
    ],
)
def test_a_wrong_change_is_one_line(study, change, words):
    outcome = study(change)
    assert outcome.status == 1
    assert words in outcome.text
    assert "Traceback" not in outcome.text


def test_few_models_are_refused(sat_exp):
    outcome = sat_exp(*QUICK, "task=stability", "pool=any", "pool.models=[fashion_resmlp,fashion_swin]")
    assert outcome.status == 1
    assert "four models" in outcome.text
