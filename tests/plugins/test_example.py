"""A package with one attack, model, measure, data set and study: installed, all are available; uninstalled, none."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pandas as pd
import pytest

from sat_exp import plugins
from sat_exp.testing import check_attack, check_dataset, check_measure, check_model

QUICK = ("dataset.size=40", "hardware.threads=1", "tracking=disabled", "output_dir=outputs")
CHOICES = {"example_stripes", "example_edges", "example_rank_overlap", "example_gratings", "example_hubs"}


def named(text: str) -> set[str]:
    return set(re.findall(r"\bexample_\w+", text))


def test_help_lists_its_choices_only_while_it_is_installed(command, example):
    topics = ("--help", "attacks", "models", "measures", "datasets", "tasks")
    assert named(command(*topics, installed=(example,)).stdout) == CHOICES
    assert not named(command(*topics).stdout)


def test_reading_a_run_imports_no_large_library_for_its_study(example):
    code = "import sys; from sat_exp.runs import registry; print(*(study.name for study in registry.studies()))"
    code += "; print(*{'torch', 'matplotlib'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(example)}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    names, loaded = ended.stdout.split("\n")[:2]
    assert "example_hubs" in names.split()
    assert not loaded


def test_a_name_typed_wrongly_finds_the_plug_ins(command, example):
    ended = command("attack=example_strips", installed=(example,))
    assert ended.returncode == 1
    assert ended.stderr.strip() == ("error: attack: no attack called 'example_strips'; did you mean example_stripes?")
    ended = command("attack=example_stripes")
    assert "no attack called 'example_stripes'" in ended.stderr


def test_the_shell_completes_its_names(command, example):
    typed = "sat-exp attack=example_"
    ended = command("-sc", "query=bash", installed=(example,), COMP_LINE=typed, COMP_POINT=str(len(typed)))
    assert "attack=example_stripes" in ended.stdout.split()


def test_attack_measure_and_study_work_on_the_bundled_models(command, sat_exp, on_path, example, tmp_path, outputs):
    ended = command(
        "task=transfer", "model=fashion_resnet", "model@target=fashion_vit", "attack=example_stripes", "attack.width=3",
        "measure=[example_rank_overlap]", "name=pair", *QUICK, installed=(example,),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    measured = pd.read_parquet(tmp_path / "outputs/pair/tables/measures.parquet")
    assert measured["measure"].tolist() == ["example_rank_overlap"]
    assert measured["value"].between(0, 1).all()
    assert "example_rank_overlap" in (tmp_path / "outputs/pair/report.html").read_text()
    on_path(example)
    ended = sat_exp("task=example_hubs", "task.run=outputs/pair", "name=hubs")
    assert ended.status == 0, ended.text
    hubs = pd.read_parquet(outputs / "hubs/tables/example_hubs.parquet")
    assert set(hubs["model"]) == {"fashion_resnet", "fashion_vit"}
    assert (outputs / "hubs/figures/example_hubs.svg").is_file()
    drawn_without_it = command("task=report", f"task.run={outputs}/hubs", *QUICK[2:])
    assert drawn_without_it.returncode == 0, drawn_without_it.stderr


def test_its_model_chooses_its_data_set(sat_exp, on_path, example, outputs):
    on_path(example)
    ended = sat_exp("model=example_edges", "attack=example_stripes", "name=edges", *QUICK[:2])
    assert ended.status == 0, ended.text
    model = pd.read_parquet(outputs / "edges/tables/models.parquet").iloc[0]
    assert (model["model"], model["images"], model["parameters"]) == ("example_edges", 40, 18)
    assert model["clean_accuracy"] == 1


def test_settings_of_a_plug_in_are_checked_like_others(sat_exp, on_path, example):
    on_path(example)
    ended = sat_exp("attack=example_stripes", "attack.epsilon=wide")
    assert ended.status == 1
    assert ended.text.strip().splitlines()[-1] == "error: attack.epsilon='wide': give a whole number"


@pytest.fixture
def module(example, on_path):
    on_path(example)
    return lambda name: import_module(f"sat_exp_example.{name}")


def test_it_passes_the_conformance_checks(module):
    check_attack(module("attack").Stripes(8))
    check_model(module("model").Edges().eval(), (1, 32, 32), classes=2)
    check_measure(module("measure").measure())
    check_dataset(module("dataset").Gratings(None, 50, 0))


def test_every_group_has_its_entry_point(module):
    assert [list(plugins.loaded(group, object)) for group in plugins.GROUPS] == [
        ["example_stripes"], ["example_edges"], ["example_rank_overlap"], ["example_gratings"], ["example_hubs"],
    ]  # fmt: skip


def test_python_finds_its_model_by_name(module):
    from sat_exp.library.wrapping import configured

    assert configured("example_edges", None).name == "example_edges"
