"""task=analyze from the command line, and its findings."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_exp.runs import Run

from ...command import PUBLISHED

SMALL = ("dataset=fashion_mnist", "dataset.size=30", "attack.steps=4", "hardware.threads=1")
QUICK = ("task=analyze", "task.runs=3", "task.refits=2")


def folder_of(outcome):
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


@pytest.fixture
def two_groups(tmp_path):
    """Nine made-up models in two groups, alike within and unlike between."""
    rng = np.random.default_rng(0)
    group = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    noise = rng.normal(0, 0.05, (9, 9))
    values = np.where(group[:, None] == group, 3.8, 2.2) + noise + noise.T
    np.fill_diagonal(values, 4.6)
    names = [f"net{index}" for index in range(9)]
    pd.DataFrame(values, names, names).to_csv(tmp_path / "nine.csv")
    return tmp_path / "nine.csv"


def test_planted_groups_are_found(sat_exp, two_groups):
    outcome = sat_exp(*QUICK, f"task.run={two_groups}", "task.reference_images=100")
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    found = pd.read_csv(folder / "tables/clusters.csv").set_index("model")
    assert found.cluster.nunique() == 2
    assert found.cluster[["net0", "net4"]].nunique() == 1
    assert found.cluster[["net5", "net8"]].nunique() == 1
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {
        "cluster_stability", "clusters", "consensus", "embedding", "matrix", "nearest", "without_hubs"
    }  # fmt: skip
    assert "K = 2" in json.loads((folder / "summary.json").read_text())["clusters"]["SAT"]


def test_a_run_is_analysed_with_its_images_and_groups(sat_exp):
    """Eight networks, five of them trainings of two architectures."""
    members = "[fashion_resnet*,fashion_convnext*,fashion_vit,fashion_mixer,fashion_swin]"
    old = sat_exp(*SMALL, "task=matrix", "pool=any", f"pool.models={members}")
    assert old.status == 0, old.text
    run = Path(re.search(r"report: (.+)/report\.html", old.text)[1])
    quiet = (*SMALL[:2], "hardware.threads=1", "task=attack", "pool=any", "attack=noise", "attack.epsilon=24")
    refused = sat_exp(*quiet, "pool.models=[fashion_vit]", "name=narrow")
    assert refused.status == 0, refused.text
    noise = sat_exp(*quiet, f"pool.models={members}", "name=noise")
    assert noise.status == 0, noise.text
    narrow = sat_exp(*QUICK, f"task.run={run}", f"task.control={run.parents[1]}/narrow")
    assert narrow.status == 1
    assert "lacks fashion_resnet" in " ".join(narrow.text.split())
    outcome = sat_exp(*QUICK, f"task.run={run}", f"task.control={run.parents[1]}/noise")
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    tables = {path.stem: pd.read_parquet(path) for path in (folder / "tables").glob("*.parquet")}
    kinds = tables["regimes"].set_index("kind")
    assert (kinds.pairs["initialisation"], kinds.pairs["recipe"], kinds.pairs["other architecture"]) == (2, 2, 24)
    pairs = pd.read_parquet(run / "tables/pairs.parquet").query("model_a != model_b")
    assert kinds["mean"]["all"] == pytest.approx(pairs.sat.mean())
    full = tables["sample_size"].query("measure == 'spearman'").sort_values("images").iloc[-1]
    assert (full.images, full.value) == (30, pytest.approx(1))
    known = Run.open(run).predictions()
    same = (known.clean["fashion_vit"] == known.clean["fashion_swin"]).mean()
    beside = tables["controls"].set_index(["model_a", "model_b"]).agreement
    assert beside["fashion_vit", "fashion_swin"] == pytest.approx(same)
    assert len(tables["directed"]) == 8
    noisy = Run.open(run.parents[1] / "noise").predictions()
    both = [known.clean[name] == known.labels for name in ("fashion_vit", "fashion_swin")]
    changed = noisy.adversarial["fashion_swin", "fashion_swin"] != known.clean["fashion_swin"]
    controls = tables["controls"].set_index(["model_a", "model_b"])
    rate = controls.noise_rate_ab["fashion_vit", "fashion_swin"]
    assert rate == pytest.approx(changed[np.logical_and(*both)].mean())
    assert "noise_sat" in set(tables["controls_and_sat"].measure)


def test_too_few_models_are_refused(sat_exp, two_groups):
    small = pd.read_csv(two_groups, index_col=0).iloc[:5, :5]
    small.to_csv(two_groups)
    outcome = sat_exp(*QUICK, f"task.run={two_groups}")
    assert outcome.status == 1
    assert "nine has 5 models: an analysis needs 8 or more" in outcome.text


def test_components_that_lack_a_model_are_left_out_of_the_analysis(sat_exp, two_groups, tmp_path):
    components = pd.DataFrame({"base": ["CNN"] * 5}, index=[f"net{index}" for index in range(5)])
    components.to_csv(tmp_path / "components.csv")
    outcome = sat_exp(*QUICK, f"task.run={two_groups}", f"task.components={tmp_path}/components.csv")
    assert outcome.status == 0, outcome.text
    assert "no components of 4 of 9 models, such as net5" in " ".join(outcome.text.split())


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"needs the published matrix at {PUBLISHED}")
def test_the_published_matrix(sat_exp):
    outcome = sat_exp("task=analyze", f"task.run={PUBLISHED}", "task.runs=20", "task.refits=5")
    assert outcome.status == 0, outcome.text
    folder = folder_of(outcome)
    importance = pd.read_csv(folder / "tables/importance.csv")
    assert list(importance.component[:2]) == ["base_architecture", "stem"]
    fits = pd.read_csv(folder / "tables/importance_fits.csv")
    assert fits.query("encoding == 'flags' and validation == 'training'").r2.item() == pytest.approx(0.684, abs=0.01)
    first = pd.read_csv(folder / "tables/pairs_without_hubs.csv").iloc[0]
    assert {first.model_a, first.model_b} == {"swin_s3_tiny", "swin_tiny"}
