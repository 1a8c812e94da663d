"""Names typed on the command line: the paper's names are aliases; a misspelt name gets the nearest as a suggestion."""

import os
import subprocess
import sys

import pytest

from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases, check_choices, check_collisions, own_folder, resolve


@pytest.fixture
def conf(tmp_path):
    files = {
        "model/swin_t": "name: swin_t\npaper_name: swin_tiny_patch4_window7_224\nfamily: Swin\n",
        "model/deit_s": "name: deit_s\npaper_name: 'deit_small'  # the name in the paper\n",
        "model/resnet50": "name: resnet50\npaper_name: resnet50\n",
        "model/vit_b16": "name: vit_b16\nfamily: ViT\n",
        "model/odd": "name: odd\npaper_name: vit_b16\n",
        "attack/pgd": "",
        "hydra/sweeper/models": "",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_aliases_are_names_that_no_file_has(conf):
    assert aliases(conf) == {"swin_tiny_patch4_window7_224": "swin_t", "deit_small": "deit_s"}


@pytest.mark.parametrize(
    ("typed", "resolved"),
    [
        ("model=deit_small", "model=deit_s"),
        ("model@target=deit_small", "model@target=deit_s"),
        ("+model@other=deit_small", "+model@other=deit_s"),
        ("model=deit_small,resnet50,swin_tiny_patch4_window7_224", "model=deit_s,resnet50,swin_t"),
        ("model=choice(deit_small,vit_b16)", "model=choice(deit_s,vit_b16)"),
        ("model=deit_small_distilled", "model=deit_small_distilled"),
        ("model=glob(deit_small)", "model=glob(deit_small)"),
        ("model.id=deit_small", "model.id=deit_small"),
        ("name=deit_small", "name=deit_small"),
        ("-m", "-m"),
    ],
)
def test_paper_names_become_file_names(conf, typed, resolved):
    assert resolve([typed], conf) == [resolved]


@pytest.mark.parametrize(
    "typed",
    [
        "model=vit_b16", "model=deit_small", "model@target=resnet50,vit_b16", "model=glob(*)", "~model",
        "hydra/sweeper=basic", "hydra/launcher=joblib", "model.epsilon=4", "attack.epsilon=1,2", "--info",
    ],
)  # fmt: skip
def test_what_can_be_chosen_passes(conf, typed):
    check_choices([typed], [conf])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("model=resnt50", "no model called 'resnt50'; did you mean resnet50"),
        ("model=vit_b16,resnt50", "no model called 'resnt50'; did you mean resnet50"),
        ("model@target=choice(vit_b16,resnt50)", "no model called 'resnt50'; did you mean resnet50"),
        ("model=deit_smal", "no model called 'deit_smal'; did you mean deit_small"),
        ("model='resnt50'", "no model called 'resnt50'"),
        ("attack=zzz", "no attack called 'zzz'; give one of pgd"),
        ("hydra=null", "hydra=null: give the name of a choice"),
        ("hydra/launcher=5", "hydra/launcher=5: give the name of a choice"),
    ],
)
def test_a_misspelt_choice_names_the_nearest(conf, typed, message):
    with pytest.raises(UserError) as error:
        check_choices([typed], [conf])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_paper_names_of_this_package_reach_hydra():
    names = aliases(CONF)
    if not names:
        pytest.skip("no model's file is called otherwise than in the paper")
    paper, file = next(iter(names.items()))
    run = subprocess.run(
        [sys.executable, "-m", "sat_exp", f"model={paper}", "--cfg", "job", "-p", "model.name"],
        capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.stdout.strip() == file


@pytest.mark.parametrize("typed", [["-cd", "{}"], ["--config-dir", "{}"], ["--config-dir={}"]])
def test_the_choices_of_the_users_folder_count_and_need_new_names(conf, tmp_path_factory, typed):
    own = tmp_path_factory.mktemp("own")
    (own / "model").mkdir()
    (own / "model/mine.yaml").touch()
    assert own_folder([*(part.format(own) for part in typed), "model=mine"]) == own
    assert own_folder(["model=mine", "-m"]) is None
    check_choices(["model=mine"], [conf, own])
    check_choices(["model=vit_b16"], [conf, own])
    with pytest.raises(UserError, match="did you mean mine"):
        check_choices(["model=mina"], [conf, own])
    check_collisions(conf, {}, own)
    (own / "model/vit_b16.yaml").touch()
    with pytest.raises(UserError, match="there is a model vit_b16 already; give it another name"):
        check_collisions(conf, {}, own)


@pytest.mark.parametrize(
    "option", ["--config-path=.", "-cn=config", "hydra.searchpath=[file://x]", "+hydra.callbacks={}"]
)
def test_the_configuration_of_the_program_cannot_be_replaced(option):
    with pytest.raises(UserError, match="add your own files by --config-dir FOLDER"):
        own_folder([option])


def test_a_plug_in_needs_new_names(conf, tmp_path_factory):
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for folder in (first, second):
        (folder / "model").mkdir()
    (first / "model/new.yaml").touch()
    check_collisions(conf, {"one": first, "two": second}, None)
    (second / "model/new.yaml").touch()
    with pytest.raises(UserError, match="the plug-in two has the model new, and so has one: uninstall two"):
        check_collisions(conf, {"one": first, "two": second}, None)
    (first / "model/vit_b16.yaml").touch()
    with pytest.raises(UserError, match="the plug-in one has the model vit_b16, and so has sat_exp"):
        check_collisions(conf, {"one": first, "two": second}, None)
