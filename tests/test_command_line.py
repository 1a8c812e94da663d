"""The command line before a task begins: every configuration composes; help and completion are fast and light."""

import os
import subprocess
import sys
from pathlib import Path

import hydra
import pytest

from sat_exp.__main__ import CONF
from sat_exp.runs import registry

HEAVY = ("torch", "timm", "lightning", "pandas", "wandb", "zarr", "seaborn", "matplotlib")
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes(group, choice):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", overrides=[f"{group}={choice}"], return_hydra_config=True)
    assert config.hydra.runtime.choices[group] == choice


@pytest.mark.parametrize(
    ("arguments", "dataset"),
    [
        ([], "fashion_mnist"),
        (["model=fashion_vit"], "fashion_mnist"),
        (["model=vit_b16"], "imagenette"),
        (["model=vit_b16", "dataset=imagenet"], "imagenet"),
        (["task=matrix"], "fashion_mnist"),
        (["task=matrix", "pool=imagenet_cnns"], "foolbox20"),
        (["experiment=imagenet_cnns", "dataset=imagenet"], "imagenet"),
        (["experiment=quickstart"], "fashion_mnist"),
    ],
)
def test_the_data_set_follows_the_model_unless_typed(arguments, dataset):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", overrides=arguments, return_hydra_config=True)
    assert config.hydra.runtime.choices.dataset == dataset


def test_help_names_every_choice_and_loads_nothing_heavy():
    code = (
        "import sys; from sat_exp.__main__ import main; sys.argv = ['sat_exp', '--help']\n"
        "try: main()\n"
        f"finally: print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in run.stdout
    for group, choice in CHOICES:
        assert f"{group}: " in run.stdout
        assert choice in run.stdout
    for study in registry.studies():
        assert f"  {study.name} " in run.stdout
        assert study.question in run.stdout
    assert "the similarity of all pairs of a pool" in run.stdout


def test_completion_offers_models():
    script = Path(sys.executable).with_name("sat-exp")
    environment = os.environ | {"COMP_LINE": "sat-exp model=fashion_re", "COMP_POINT": "24", "_HYDRA_COMPLETE": "1"}
    run = subprocess.run([script, "-sc", "query=bash"], capture_output=True, text=True, env=environment, check=False)
    assert "model=fashion_resnet" in run.stdout.split()
