"""Run folders and configuration folders from other people name no code. Each attempt would leave a file if it ran."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sat_exp import runs
from sat_exp.names import CONF

from ..command import QUICK
from .outcomes import folder_of

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
POOL = ("pool=any", "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory) -> dict[str, bytes]:
    """The files of a measured run, once there is one."""
    return {}


@pytest.fixture
def crafted(sat_exp, tmp_path, genuine) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Makes a run's folder whose summary was changed, with a manifest that fits it."""
    if not genuine:
        outcome = sat_exp(*QUICK, "task=matrix", *POOL, "name=genuine")
        assert outcome.status == 0, outcome.text
        run = runs.Run.open(folder_of(outcome))
        genuine.update({name: run.content(name) for name in run.files})

    def craft(change: Callable[[dict[str, Any]], None]) -> Path:
        folder = tmp_path / "crafted"
        for name, content in genuine.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        summary = json.loads(genuine["summary.json"])
        change(summary)
        (folder / "summary.json").write_text(json.dumps(summary))
        runs.seal(folder)
        return folder

    return craft


def places(canary: Path) -> dict[str, Callable[[dict[str, Any]], Any]]:
    touch = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(canary)]}}
    shell = {"_target_": "os.system", "command": f"touch {canary}"}

    def models(summary: dict[str, Any]) -> dict[str, Any]:
        return summary["models"]["fashion_convnext"]

    return {
        "reader": lambda summary: models(summary).update(checkpoint_reader="os.system", checkpoint=f"touch {canary}"),
        "network": lambda summary: models(summary).update(network=shell),
        "part of a network": lambda summary: models(summary)["network"].update(norm_layer=touch),
        "hub": lambda summary: models(summary).update(
            network={"_target_": "torch.hub.load", "repo_or_dir": str(canary.parent), "model": "x", "source": "local"}
        ),
        "data set": lambda summary: summary["settings"].update(dataset=shell),
        "attack": lambda summary: summary["settings"].update(attack=touch),
        "part of an attack": lambda summary: summary["settings"]["attack"].update(steps=touch),
        "interpolation": lambda summary: models(summary).update(family="${oc.env:HOME}"),
        "name": lambda summary: models(summary).update(name="../../escaped"),
        "allowance": lambda summary: summary["settings"].update(allow=["os"], attack=shell),
    }


@pytest.mark.parametrize("place", places(Path()))
def test_a_crafted_run_runs_nothing(sat_exp, crafted, canary, place, outputs):
    folder = crafted(places(canary)[place])
    before = set(outputs.rglob("*"))
    outcome = sat_exp("task=place", "model=fashion_vit", f"task.run={folder}", "hardware.threads=1")
    told = outcome.text.strip().splitlines()
    assert outcome.status == 1, told
    assert told[-1].startswith("error: ")
    assert "Traceback" not in outcome.text
    assert not canary.exists()
    assert set(outputs.rglob("*")) == before, "nothing was begun"


def test_the_run_itself_is_sound(sat_exp, crafted):
    folder = crafted(lambda summary: None)
    outcome = sat_exp("task=place", "model=fashion_vit", f"task.run={folder}", "hardware.threads=1")
    assert outcome.status == 0, outcome.text


def configurations(canary: Path) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Files of a folder for --config-dir, and what is typed with it."""
    call = f"{{_target_: os.system, command: 'touch {canary}'}}"
    log = f"{{version: 1, formatters: {{f: {{'()': os.system, command: 'touch {canary}'}}}}}}"
    model = "name: mine\nfamily: a\nlabel_space: fashion_mnist\nclasses: 10\npretrained: false\ncheckpoint: null\n"
    facts = "input: {size: 32, mean: [0.2], std: [0.3], interpolation: bicubic, crop: 1.0}\n"
    return {
        "network": ({"model/mine.yaml": f"{model}{facts}network: {call}\n"}, ["model=mine", "dataset=fashion_mnist"]),
        "attack": ({"attack/mine.yaml": f"_target_: os.system\ncommand: touch {canary}\n"}, ["attack=mine"]),
        "data set": ({"dataset/mine.yaml": f"_target_: os.system\ncommand: touch {canary}\n"}, ["dataset=mine"]),
        "task": ({"task/mine.yaml": f"_target_: os.system\nname: mine\ncommand: touch {canary}\n"}, ["task=mine"]),
        "callback": (
            {"experiment/mine.yaml": f"# @package _global_\nhydra: {{callbacks: {{mine: {call}}}}}\n"},
            ["experiment=mine"],
        ),
        "callback by package": (
            {"attack/mine.yaml": f"# @package hydra.callbacks.mine\n_target_: os.system\ncommand: touch {canary}\n"},
            ["attack=mine"],
        ),
        "callback by default": (
            {
                "attack/mine.yaml": "defaults:\n  - other@_global_.hydra.callbacks.mine\n",
                "attack/other.yaml": f"_target_: os.system\ncommand: touch {canary}\n",
            },
            ["attack=mine"],
        ),
        "log": ({"hydra/job_logging/mine.yaml": log}, ["hydra/job_logging=mine"]),
        "launcher": (
            {"hydra/launcher/mine.yaml": f"_target_: os.system\ncommand: {call}\n"}, ["hydra/launcher=mine", "-m"]
        ),
        "part of a launcher": (
            {"hydra/launcher/mine.yaml": f"_target_: {BASIC}\nx: {call}\n"},
            ["hydra/launcher=mine", "-m", "attack.steps=1,2"],
        ),
        "allowance": (
            {"experiment/mine.yaml": f"# @package _global_\nallow: [os]\nattack: {call}\n"},
            ["experiment=mine"],
        ),
        "aliases": ({"attack/mine.yaml": "a: &a [x, x]\nb: [*a, *a]\n"}, ["attack=mine"]),
        "header behind a space": (
            {"attack/mine.yaml": f" # @package hydra.callbacks\nmine: {call}\n"},
            ["attack=mine"],
        ),
        "launcher with an interpolation": (
            {
                "hydra/launcher/mine.yaml": f"_target_: {BASIC}\nx: ${{zz}}\n",
                "experiment/mine.yaml": "# @package _global_\ndefaults: [override /hydra/launcher: mine]\nzz: {a: 1}\n",
            },
            ["-m", "experiment=mine", "seed=1,2"],
        ),
        "escaped interpolation": (
            {"attack/mine.yaml": '_target_: sat_exp.attacks.Noise\nepsilon: "\\x24{oc.env:HOME}"\n'},
            ["attack=mine"],
        ),
        "another output folder": (
            {"experiment/mine.yaml": f"# @package _global_\noutput_dir: {canary}\n"},
            ["experiment=mine"],
        ),
        "environment": (
            {"attack/mine.yaml": "_target_: sat_exp.attacks.Noise\nepsilon: ${oc.env:HOME}\n"},
            ["attack=mine"],
        ),
        "environment by two names": (
            {"attack/mine.yaml": "a: oc.env\n_target_: sat_exp.attacks.Noise\nepsilon: ${${.a}:HOME}\n"},
            ["attack=mine"],
        ),
        "no text": ({"attack/mine.yaml": "\0"}, ["attack=mine"]),
    }  # fmt: skip


@pytest.mark.parametrize("case", configurations(Path()))
def test_a_folder_of_configuration_files_runs_nothing(sat_exp, tmp_path, canary, case, outputs):
    files, typed = configurations(canary)[case]
    for name, text in files.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    before = set(outputs.rglob("*"))
    outcome = sat_exp("-cd", str(tmp_path / "mine"), *typed)
    told = outcome.text.strip().splitlines()
    assert outcome.status == 1, told
    assert told[-1].startswith("error: "), told
    assert "Traceback" not in outcome.text
    assert not canary.exists()
    assert set(outputs.rglob("*")) == before


@pytest.mark.parametrize(
    "option",
    [
        ["-cp", "."],
        ["--config-path=."],
        ["-cn", "x"],
        ["hydra.searchpath=[file://.]"],
        ["~hydra.callbacks.checks"],
        ["hydra.callbacks.checks._target_=os.getcwd"],
    ],
)
def test_other_files_do_not_take_the_place_of_the_configuration(sat_exp, option):
    outcome = sat_exp(*option)
    assert outcome.status == 1
    assert "add your own files by --config-dir FOLDER (-cd)" in outcome.text


def test_a_folder_of_configuration_files_leads_nowhere_else(sat_exp, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/mine.yaml").write_text("# @package hydra.callbacks\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/experiment").symlink_to(tmp_path / "elsewhere")
    outcome = sat_exp("-cd", str(tmp_path / "mine"), "experiment=mine")
    assert outcome.status == 1
    assert "is a link: give a folder of plain files" in " ".join(outcome.text.split())


def test_a_text_put_together_to_an_interpolation_is_refused(sat_exp):
    parts = ("+model.stand_in='$'", "+model.paper_name='{oc.env:HOME}'", "model.family='${.stand_in}${.paper_name}'")
    outcome = sat_exp(*parts)
    assert outcome.status == 1
    assert "model.family contains an interpolation: give its value" in " ".join(outcome.text.split())


def test_files_that_no_run_has_written_are_left_alone(sat_exp, outputs):
    own = outputs / "thesis/figures/own.tex"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    outcome = sat_exp(*QUICK, "model=fashion_resnet", "name=thesis")
    assert outcome.status == 1
    assert "holds figures, which no run has written: give another name=" in " ".join(outcome.text.split())
    assert own.read_text() == "mine"


def test_what_the_user_allows_runs(sat_exp, tmp_path, monkeypatch):
    (tmp_path / "my_attacks.py").write_text(
        "class Nothing:\n    version = 1\n    def __init__(self, epsilon: int): self.epsilon = epsilon\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine/attack").mkdir(parents=True)
    (tmp_path / "mine/attack/mine.yaml").write_text("_target_: my_attacks.Nothing\nepsilon: many\n")
    refused = sat_exp("-cd", str(tmp_path / "mine"), "attack=mine")
    assert "if you trust that package, type 'allow=[my_attacks]'" in " ".join(refused.text.split())
    allowed = sat_exp("-cd", str(tmp_path / "mine"), "attack=mine", "allow=[my_attacks]")
    assert "attack.epsilon='many': give a whole number" in allowed.text


@pytest.mark.parametrize(
    "secret", ["+tracking.api_key", "+hydra.job.env_set.WANDB_API_KEY", "+model.network.hf_token", "+password"]
)
def test_a_secret_that_is_typed_is_kept_nowhere(sat_exp, tmp_path, outputs, secret):
    outcome = sat_exp(f"{secret}=5ecret5ecret5ecret")
    assert outcome.status == 1
    assert "would be kept in the run's folder" in " ".join(outcome.text.split())
    kept = [path for folder in (tmp_path, outputs) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"5ecret5ecret" in path.read_bytes()]


def test_a_secret_in_a_model_of_a_pool_is_refused(sat_exp, outputs, tmp_path):
    mine = tmp_path / "conf/model/mine.yaml"
    mine.parent.mkdir(parents=True)
    model = (CONF / "model/fashion_vit.yaml").read_text().replace("name: fashion_vit", "name: mine", 1)
    mine.write_text(model.replace("network:\n", "network:\n  api_key: 12345\n", 1))
    before = set(outputs.rglob("*"))
    pool = ("task=matrix", "pool=any", "pool.models=[mine,fashion_resnet]")
    outcome = sat_exp("-cd", f"{tmp_path}/conf", *QUICK, *pool)
    assert outcome.status == 1
    assert "error: model mine.network.api_key would be kept in the run's folder" in " ".join(outcome.text.split())
    assert set(outputs.rglob("*")) == before
