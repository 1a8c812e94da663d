"""Plug-ins that are broken, that conflict with one another, or whose configurations reach Hydra."""

import logging

import pytest

from sat_exp import plugins
from sat_exp.settings import search_path
from sat_exp.similarity.measures import Measure

POINT = "broken = broken_package:THING"
MEASURED = (
    "task=transfer", "model=fashion_resnet", "model@target=fashion_vit", "attack=example_stripes",
    "measure=[agreement]", "dataset.size=20", "hardware.threads=1",
)  # fmt: skip


def test_a_broken_plug_in_is_named_and_everything_else_works(sat_exp, example, written, on_path):
    on_path(example, written("broken_package", {"__init__.py": "import nowhere"}, dict.fromkeys(plugins.GROUPS, POINT)))
    ended = sat_exp(*MEASURED, "name=with_a_broken_plug_in")
    assert ended.status == 0, ended.text
    warning = "plug-in broken (broken_package:THING) is left out: No module named 'nowhere'"
    assert warning in " ".join(ended.text.split())


def test_an_attack_of_a_broken_package_states_the_cause(sat_exp, written, on_path):
    attack = {"__init__.py": "import nowhere", "conf/attack/mine.yaml": "_target_: broken_package.Attack\n"}
    on_path(written("broken_package", attack, {"sat_exp.attacks": POINT}))
    ended = sat_exp("attack=mine")
    assert ended.status == 1
    assert ended.text.strip() == (
        "error: attack._target_=broken_package.Attack cannot be imported: No module named 'nowhere'"
    )


def test_a_choice_with_the_name_of_another_is_refused_in_one_line(command, written):
    one = written("one", {"conf/attack/new.yaml": "a: 1\n"}, {"sat_exp.attacks": "one = one:Attack"})
    two = written("two", {"conf/attack/new.yaml": "a: 1\n"}, {"sat_exp.attacks": "two = two:Attack"})
    ours = written("ours", {"conf/attack/pgd.yaml": "a: 1\n"}, {"sat_exp.attacks": "ours = ours:Attack"})
    assert command("--help", installed=(one,)).returncode == 0
    ended = command("--help", installed=(one, two))
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: the plug-in two has the attack new, and so has one: uninstall two")
    assert ended.stderr.count("\n") == 1
    ended = command("--help", installed=(ours,))
    assert ended.stderr.startswith("error: the plug-in ours has the attack pgd, and so has sat_exp: uninstall ours")


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("conf/hydra/launcher/mine.yaml", "_target_: builtins.print\n", "is in none of the groups attack, dataset"),
        ("conf/config.yaml", "seed: 1\n", "is in none of the groups attack, dataset"),
        ("conf/experiment/mine.yaml", "# @package _global_\nhydra:\n  run: {dir: x}\n", "changes Hydra's own settings"),
        ("conf/experiment/mine.yaml", "# @package hydra.run\ndir: x\n", "changes Hydra's own settings"),
        ("conf/attack/mine.yaml", "a: [\n", "is no YAML"),
    ],
)
def test_configurations_that_reach_hydra_are_left_out_with_a_warning(written, on_path, caplog, file, text, reason):
    on_path(written("mine", {file: text}, {"sat_exp.attacks": "mine = mine:Attack"}))
    with caplog.at_level(logging.WARNING):
        assert search_path.plugin_folders() == {}
    assert "the configurations of the plug-in mine are left out" in caplog.text
    assert reason in caplog.text


def test_nothing_is_imported_until_it_is_needed(written, on_path, tmp_path):
    canary = tmp_path / "canary"
    files = {"__init__.py": f"open({str(canary)!r}, 'w')", "conf/attack/mine.yaml": "a: 1\n"}
    place = written("lazy", files, {"sat_exp.attacks": "lazy = lazy:Attack"})
    on_path(place)
    assert [plugin.name for plugin in plugins.installed("sat_exp.attacks")] == ["lazy"]
    assert plugins.packages("sat_exp.attacks") == ("lazy",)
    assert plugins.packages("sat_exp.models") == ()
    assert plugins.configurations() == {"lazy": place / "lazy/conf"}
    assert not canary.exists()
    plugins.loaded("sat_exp.attacks", type)
    assert canary.exists()


def test_the_second_of_two_with_one_name_is_left_out(written, on_path, caplog):
    on_path(*(written(name, {}, {"sat_exp.measures": f"mine = {name}:__name__"}) for name in ("first", "second")))
    with caplog.at_level(logging.WARNING):
        assert plugins.loaded("sat_exp.measures", str) == {"mine": "first"}
    assert "plug-in mine (second:__name__) is left out: another has its name" in caplog.text


def test_an_object_of_another_kind_is_left_out(written, on_path, caplog):
    on_path(written("other", {}, {"sat_exp.measures": "mine = other:__name__"}))
    with caplog.at_level(logging.WARNING):
        assert plugins.loaded("sat_exp.measures", Measure) == {}
    assert "plug-in mine (other:__name__) is left out: it is no Measure" in caplog.text


def test_an_entry_point_that_names_nothing_is_left_out(written, on_path):
    on_path(written("odd", {}, {"sat_exp.attacks": "odd = no name at all!"}))
    assert plugins.installed("sat_exp.attacks") == ()
    assert plugins.configurations() == {}
