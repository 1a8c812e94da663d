"""Derived networks from the command line: records, files, resumption, and what comes after."""

import json
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from safetensors.torch import load_file

from sat_exp.models.loading import load
from sat_exp.modules.derivation import zero_share
from sat_exp.modules.training import Training
from sat_exp.tasks.derive import derived

PARENTS = ("fashion_convnext", "fashion_convnext_seed1")
WAYS = ("fine_tuned", "pruned30", "int8", "distilled", "averaged", "new_head")
RECIPE = {
    "epochs": 1, "finishing_epochs": 0, "batch_size": 8, "seed": 0, "optimizer": "adamw", "learning_rate": 0.01,
    "weight_decay": 0.05, "shift": 1, "label_noise": 0.0,
}  # fmt: skip


def command(root, folder, *arguments, models=PARENTS):
    return (
        "task=derive", "pool=any", f"pool.models=[{','.join(models)}]", f"dataset.root={root}",
        "dataset.training_size=300", "task.batch_size=50", "task.ways.distilled.epochs=1", f"task.directory={folder}",
        "hardware.threads=1", *arguments,
    )  # fmt: skip


def said(outcome):
    return " ".join(outcome.text.split())


def record(folder, name):
    return json.loads((Path(folder) / f"{name}.json").read_text())


def test_all_ways_make_networks_that_are_measured_and_judged(sat_exp, fashion_mnist, tmp_path, outputs):
    folder = tmp_path / "derived"
    typed = command(fashion_mnist, folder, "~task.ways.pruned60", "~task.ways.pruned90")
    outcome = sat_exp(*typed)
    assert outcome.status == 0, outcome.text
    assert "12 networks are derived from 2 trained ones." in outcome.text
    names = [f"{parent}_{way}" for parent in PARENTS for way in WAYS]
    files = {name: load_file(folder / f"{name}.safetensors") for name in names}
    assert zero_share(files["fashion_convnext_pruned30"]) == pytest.approx(0.3, abs=1e-3)
    for name, tensor in files["fashion_convnext_int8"].items():
        if tensor.ndim >= 2 and name.endswith("weight"):
            assert all(len(channel.unique()) <= 255 for channel in tensor)
    own = load(OmegaConf.load(folder / "model/fashion_convnext_int8.yaml"))
    made = record(folder, "fashion_convnext_int8")
    assert made["parent"]["name"] == "fashion_convnext" != made["model"]
    assert made["parent"]["fingerprint"] != own.fingerprint
    assert len({record(folder, name)["recipe"]["seed"] for name in names}) == len(names)
    pool = OmegaConf.load(folder / "pool/derived.yaml")
    assert sorted(pool.models) == sorted([*names, *PARENTS])
    assert not (folder / "model/fashion_convnext.yaml").exists()  # the package has it
    groups = pd.read_csv(folder / "groups.csv")
    assert groups.columns.tolist() == ["test", "stratum", "model", "group"]
    assert sorted(groups["model"]) == sorted(pool.models)
    assert all(model.startswith(group) for model, group in zip(groups["model"], groups["group"], strict=True))
    assert groups.value_counts(["test", "stratum", "group"]).to_dict() == {
        ("lineage", "fashion_convnext", parent): 7 for parent in PARENTS
    }
    assert sat_exp(*typed).text.count("is trained already") == 12

    measured = sat_exp(
        "-cd", str(folder), "task=matrix", "pool=derived", "dataset.size=20", "attack.steps=1", "hardware.threads=1",
        "name=lineage", "measure=[agreement]",
    )  # fmt: skip
    assert measured.status == 0, measured.text
    summary = json.loads((outputs / "lineage/summary.json").read_text())
    group = {"architecture": "fashion_convnext", "seed": 1, "recipe": "adamw_int8", "parent": PARENTS[1]}
    assert summary["models"][f"{PARENTS[1]}_int8"]["group"] == group
    judged = sat_exp("task=benchmark", f"task.runs=[{outputs}/lineage]", f"task.groups={folder}/groups.csv")
    assert judged.status == 0, judged.text
    assert "14 models, 42 of 91 pairs within a group" in judged.text


def test_a_killed_derivation_continues_to_the_same_weights(sat_exp, fashion_mnist, tmp_path, monkeypatch):
    ways = ("task.only=[pruned60,averaged]", "task.epochs=3")
    whole = sat_exp(*command(fashion_mnist, tmp_path / "whole", *ways, models=PARENTS[:1]))
    assert whole.status == 0, whole.text
    step, epochs = Training.training_step, []

    def dying(module, batch, index):
        if module.current_epoch == 2:
            raise RuntimeError("the power went")
        return step(module, batch, index)

    monkeypatch.setattr(Training, "training_step", dying)
    died = sat_exp(*command(fashion_mnist, tmp_path / "died", *ways, models=PARENTS[:1]))
    assert died.status == 1
    assert "not derived, as they failed: fashion_convnext_pruned60" in said(died)
    assert not (tmp_path / "died/pool").exists()
    monkeypatch.setattr(Training, "training_step", lambda *given: epochs.append(given[0].current_epoch) or step(*given))
    outcome = sat_exp(*command(fashion_mnist, tmp_path / "died", *ways, models=PARENTS[:1]))
    assert outcome.status == 0, outcome.text
    assert set(epochs) == {2}
    assert "for task=benchmark, derive from two networks of one architecture" in said(outcome)
    assert not (tmp_path / "died/groups.csv").exists()
    for name in ("fashion_convnext_pruned60", "fashion_convnext_averaged"):
        both = [(tmp_path / place / f"{name}.safetensors").read_bytes() for place in ("whole", "died")]
        assert both[0] == both[1]


def test_a_changed_parent_or_way_is_another_training_and_derived_networks_are_no_parents(
    sat_exp,
    fashion_mnist,
    tmp_path,
):
    folder = tmp_path / "trained"

    def parent(directory, seed):
        outcome = sat_exp(
            "task=train", "model=fashion_convnext", "model.name=mine", f"dataset.root={fashion_mnist}",
            "dataset.training_size=100", "task.batch_size=50", "task.epochs=1", f"task.directory={directory}",
            f"task.recipes={{few:{{learning_rate:{seed},label_noise:0.25,shift:1}}}}", "hardware.threads=1",
        )  # fmt: skip
        assert outcome.status == 0, outcome.text

    parent(folder, 0.001)
    only = ("task.only=[fine_tuned,int8]", "dataset=fashion_mnist", "task.shift=3")
    derive = ("-cd", str(folder), *command(fashion_mnist, folder, *only, models=["mine*"]))
    assert sat_exp(*derive).status == 0
    assert (folder / "model/mine_few_int8.yaml").is_file()
    inherited = record(folder, "mine_few_int8")["recipe"]
    assert (inherited["label_noise"], inherited["shift"]) == (0.25, 1)
    assert record(folder, "mine_few_fine_tuned")["recipe"]["shift"] == 4
    again = sat_exp(*derive)
    assert again.status == 0, again.text
    assert "2 derived networks among the chosen models are left out" in again.text
    assert again.text.count("is trained already") == 2
    assert sorted(path.stem for path in (folder / "model").glob("*")) == [
        "mine_few",
        "mine_few_fine_tuned",
        "mine_few_int8",
    ]
    none = sat_exp("-cd", str(folder), *command(fashion_mnist, folder, *only, models=["mine_few_int8"]))
    assert none.status == 1
    assert "mine_few_int8 is a derived network: choose the networks to derive from" in said(none)
    other = sat_exp(*derive, "task.ways.int8.bits=4")
    assert "mine_few_int8.json is of a training with another recipe" in said(other)
    parent(tmp_path / "other", 0.002)
    moved = sat_exp("-cd", str(tmp_path / "other"), *command(fashion_mnist, folder, *only, models=["mine_few"]))
    assert "mine_few_int8.json is of a training with another parent" in said(moved)


REFUSED = {
    "an untrained parent": (["model.pretrained=false"], "model fashion_nfnet is untrained"),
    "a parent unlike its file": (["model.family=Other"], "model fashion_nfnet differs from its file"),
    "an unknown way": (["task.only=[int9]"], "task.only: there is no way int9: give one of int8"),
    "a way with an unknown setting": (["+task.ways.int8.bit=4"], "there is no setting task.ways.int8.bit"),
    "a way that changes nothing": (["+task.ways.same={epochs:0}"], "task.ways.same.epochs=0 changes nothing"),
    "no training images": (["dataset=fashion_mnist"], "give dataset.root=FOLDER"),
    "a name that there is": (["model=fashion_convnext", "+task.ways.seed1={}"], "is the name of another model"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_derived_is_refused_before_an_image_is_read(sat_exp, outputs, monkeypatch, arguments, message):
    monkeypatch.setattr("sat_exp.modules.training_images.TrainingImages.of", None)
    outcome = sat_exp("task=derive", "model=fashion_nfnet", "name=refused", *arguments)
    assert outcome.status == 1
    assert message in said(outcome)
    assert "Traceback" not in outcome.text
    assert not (outputs / "refused").exists()


def test_seeds_differ_between_parents_and_ways_and_follow_the_stated_one():
    parents = [OmegaConf.create({"name": name, "training": {"shift": 5, "epochs": 9}}) for name in "ab"]
    ways = {"short": {}, "still": {"shift": 0}}
    first, second = (derived(parents, RECIPE | {"seed": seed}, ways, None) for seed in (0, 1))
    assert [one.name for one in first] == ["a_short", "a_still", "b_short", "b_still"]
    assert len({one.way.seed for one in [*first, *second]}) == 8
    assert [one.way.shift for one in first] == [5, 0, 5, 0]
    assert {one.way.epochs for one in first} == {1}
    assert derived(parents, RECIPE, ways, ["still"]) == [one for one in first if one.label == "still"]
