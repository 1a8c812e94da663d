"""The command line before a task begins: every configuration composes; help and completion are fast and light."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

import sat_exp as package
from sat_exp.console import help
from sat_exp.console.choices import comment
from sat_exp.console.completion import completions
from sat_exp.errors import UserError
from sat_exp.names import CONF, SEVERAL, check_choices, files_of

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


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    """The end of a command of bash in which `sat-exp` is ours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path} | environment,
    )  # fmt: skip


def answered(*arguments: str) -> str:
    text = help.answer(arguments)
    assert text is not None
    return text


def test_help_fits_on_a_screen():
    lines = answered("--help").splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    stated = [line.split()[0] for line in lines if line.startswith("  ")]
    for task in files_of("task"):
        assert stated.count(task) == 1 + (task in GROUPS)
    for group in GROUPS:
        assert group in ("hydra", "task") or group in stated


def test_no_question_of_a_task_is_cut_in_help():
    overview = answered("--help").partition("Tasks:")[2].partition("Choices:")[0]
    assert "…" not in overview
    assert overview.count("\n  ") == len(files_of("task"))


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "hydra"])
def test_help_names_every_choice_of_a_group(group):
    text = answered("--help", help.plural(group))
    rows = [line.split(maxsplit=1) for line in text.splitlines() if not line.startswith("   ")]
    assert [row[0] for row in rows] == sorted(files_of(group))
    assert [row for row in rows if len(row) == 1] == [], "every choice is described"


@pytest.mark.parametrize(("group", "choice"), [each for each in CHOICES if each[0] != "hydra"])
def test_help_states_the_settings_of_every_choice_with_their_defaults(group, choice):
    text = answered("--help", f"{group}={choice}")
    assert " ".join(comment(files_of(group)[choice])[0].split()) in " ".join(text.split())
    if group in ("experiment", "pool"):
        return
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", overrides=[f"{group}={choice}"])
    own, place = (config[group][choice], f"{group}.{choice}.") if group in SEVERAL else (config[group], f"{group}.")
    names = [str(name) for name in own if name != "_target_" and (group, name) != ("task", "name")]
    stated = [line.split() for line in text.splitlines() if line.startswith(f"  {place}")]
    assert list(dict.fromkeys(row[0].removeprefix(place).split(".")[0] for row in stated)) == names
    for name, value, *_ in (row for row in stated if row[0].count(".") == 1 and len(row) > 1):
        given = OmegaConf.to_container(config[group])[name.split(".")[1]]
        if isinstance(given, str | int | float) and not isinstance(given, bool) and " " not in str(given):
            assert value == str(given)


def test_help_of_a_task_needs_no_name_of_its_group():
    assert answered("--help", "pick") == answered("pick", "--help") == answered("task=pick", "-h")
    assert answered("--help", "attack").startswith("task=attack")


@pytest.mark.parametrize(("topic", "near"), [("pikc", "pick"), ("modles", "models"), ("model=resnet5", "resnet50")])
def test_a_wrong_topic_names_the_nearest(topic, near):
    with pytest.raises(UserError, match=f"no such topic; did you mean .*{near}"):
        help.answer(["--help", topic])


@pytest.mark.parametrize("arguments", [["--help"], ["--help", "models"], ["--help", "train"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; from sat_exp.__main__ import main; sys.argv = ['sat_exp', *{arguments}]\n"
        "try: main()\n"
        f"finally: print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in run.stdout


def test_version_is_that_of_this_program_and_of_its_libraries():
    lines = answered("--version").splitlines()
    assert lines[0] == f"sat_exp {package.__version__}"
    assert f"torch {torch.__version__}" in lines


@pytest.mark.parametrize("arguments", ["--help", "--help models", "--version", "--cfg job", "task=nothing"])
def test_a_closed_pipe_is_no_error(arguments):
    run = shell(f"(sleep 0.1; sat-exp {arguments}) | true")
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


def completed(line: str) -> list[str]:
    return completions(f"sat-exp {line}")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("model=fashion_resnet_", ["model=fashion_resnet_seed1", "model=fashion_resnet_sgd"]),
        ("model@target=fashion_vi", ["model@target=fashion_visformer", "model@target=fashion_vit"]),
        ("-m model=resnet50,fashion_vi", ["model=resnet50,fashion_visformer", "model=resnet50,fashion_vit"]),
        ("attack=tar", ["attack=targeted_pgd"]),
        ("dataset=imagenet", ["dataset=imagenet", "dataset=imagenette"]),
        ("pool=qu", ["pool=quick"]),
        ("task=pi", ["task=pick"]),
        ("task=pick task.s", ["task.size=", "task.splits="]),
        ("attack.st", ["attack.step_size=", "attack.steps="]),
        ("attack=targeted_pgd attack.go", ["attack.goal="]),
        ("model=resnet50 dataset.ro", ["dataset.root="]),
        ("model.input.s", ["model.input.size=", "model.input.std="]),
        ("score.con", ["score.confidence="]),
        ("lab", ["labels="]),
        ("labels=", ["labels=truth", "labels=consensus", "labels=own"]),
        ("task=pick task.purpose=", ["task.purpose=ensemble", "task.purpose=surrogate"]),
        ("attack.random_start=", ["attack.random_start=true", "attack.random_start=false"]),
        ("hardware=gpu hardware.b", ["hardware.batch_size="]),
        ("--help pic", ["pick"]),
        ("--ver", ["--version"]),
        ("task.nothing=", []),
        ("nothing", []),
    ],
)
def test_completion(line, offered):
    assert completed(line) == offered


def test_every_group_and_setting_is_completed():
    words = completed("")
    assert {f"{group}=" for group in GROUPS if group != "hydra"} <= set(words)
    assert {"labels=", "protocol=", "output_dir=", "measure=", "seed=", "score."} <= set(words)


def test_tab_in_bash_completes_and_loads_nothing_heavy():
    line = "sat-exp model=fashion_re"
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    run = shell("sat-exp -sc query=bash", PYTHONPROFILEIMPORTTIME="1", **asked)
    assert "model=fashion_resnet" in run.stdout.split()
    imported = {row.rpartition("|")[2].strip() for row in run.stderr.splitlines()}
    assert not imported & {*HEAVY, "hydra", "pydantic"}
    script = f'''eval "$(sat-exp -sc install=bash)"; COMP_LINE="{line}"; COMP_POINT={len(line)}; COMP_CWORD=1
        hydra_bash_completion; echo "${{COMPREPLY[@]}}"'''
    assert "model=fashion_resnet_sgd" in shell(script).stdout.split()


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_tab_in_fish_completes():
    run = shell("""fish --no-config -c 'sat-exp -sc install=fish | source; complete -C "sat-exp task=pi"'""")
    assert "task=pick" in run.stdout.split()


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_tab_in_zsh_completes():
    """As a person types it: zsh completes only at a terminal."""
    steps = "PS1=; autoload -Uz compinit bashcompinit; compinit -u -D; bashcompinit"
    typed = f"zpty -w z '{steps}; eval \"$(sat-exp -sc install=bash)\"; echo begin'; zpty -r -m z line '*begin*begin*'"
    tab = "zpty -w -n z $'sat-exp task=pi\\t'; zpty -r -m z line '*task=pick*'; print -r -- $line"
    run = shell(f"timeout 60 zsh -f <<'END'\nzmodload zsh/zpty; zpty z zsh -f -i\n{typed}\n{tab}\nEND", TERM="dumb")
    assert "task=pick" in run.stdout


@pytest.mark.parametrize("argument", ["attack.steps={", "=5", "name='a", "attack.steps=[1,2", "model=a b=("])
def test_an_argument_that_cannot_be_read_is_named(argument):
    with pytest.raises(UserError, match=re.escape(argument)):
        check_choices(["task=attack", argument], [CONF])
