"""Which runs can be set side by side."""

import re

import pytest

from sat_exp.errors import UserError
from sat_exp.studies.report import comparable
from sat_exp.studies.report.comparable import compared

from .conftest import ATTACK, NAMES

OTHER = {"name": "imagenette", "images": 100, "classes": 10, "digest": "11"}
TARGETED = ATTACK | {"threat": ATTACK["threat"] | {"goal": "random"}}
MOVED = {name: {"network": {"_target_": name}, "checkpoint": f"/elsewhere/{name}.safetensors"} for name in NAMES}
RETRAINED = MOVED | {name: {"network": {"_target_": name}, "checkpoint": "/mine.safetensors"} for name in NAMES[:1]}
UNLIKE = {name: {"network": {"_target_": "another"}} for name in NAMES}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, ""),
        ({"models": MOVED}, ""),
        ({"dataset": OTHER}, "images of imagenette, the first run on images of fashion_mnist"),
        ({"attack": TARGETED}, "targeted attack"),
        ({"names": ["a", "b", "c"]}, "no model in common"),
        ({"models": UNLIKE}, "other networks, or have other weights"),
        ({"measured": "/somewhere/matrix"}, "it is a study .*: give the run that it studies, /somewhere/matrix"),
    ],
)
def test_a_run_that_is_not_comparable_is_named_with_the_reason(tmp_path, make, facts, reason):
    folders = [str(make(tmp_path / name)) for name in ("first", "second")] + [str(make(tmp_path / "third", **facts))]
    found, reasons = compared(folders)
    assert list(found) == ["first", "second", "third"]
    assert [reasons["first"], reasons["second"]] == ["", ""]
    assert re.search(reason, reasons["third"])
    assert bool(reasons["third"]) == bool(reason)
    if reason:
        assert comparable.cautions(found, reasons)[0].startswith("third is not compared: ")


def test_models_with_other_weights_and_other_images_are_told(tmp_path, make):
    other = {"name": "fashion_mnist", "images": 100, "classes": 10, "digest": "22"}
    folders = [str(make(tmp_path / "a")), str(make(tmp_path / "b", models=RETRAINED, dataset=other))]
    found, reasons = compared(folders)
    assert comparable.same_models(found["b"], found["a"]) == NAMES[1:]
    assert comparable.cautions(found, reasons) == [
        "Models of b that are not those of a, and left out: resnet.",
        "b has other images than a, so that differences are also those of the images.",
    ]


def test_labels_are_the_parts_in_which_the_folders_differ(tmp_path, make):
    folders = [make(tmp_path / "sweeps/attack" / name) for name in ("epsilon=4", "epsilon=8")]
    assert list(comparable.labelled(folders)) == ["epsilon=4", "epsilon=8"]
    assert list(comparable.labelled([folders[0], make(tmp_path / "mine")])) == ["sweeps/attack/epsilon=4", "mine"]
    swept = [make(tmp_path / "swept" / name) for name in ("epsilon=4,01ed2d", "epsilon=8,02baeb")]
    assert list(comparable.labelled(swept)) == ["epsilon=4", "epsilon=8"]
    alike = [make(tmp_path / "alike" / name) for name in ("epsilon=4,01ed2d", "epsilon=4,02baeb")]
    assert list(comparable.labelled(alike)) == ["epsilon=4,01ed2d", "epsilon=4,02baeb"]
    with pytest.raises(UserError, match="twice: give each run once"):
        comparable.labelled([folders[0], folders[0]])


def test_one_comparable_run_is_too_few(tmp_path, make):
    folders = [str(make(tmp_path / "a")), str(make(tmp_path / "b", dataset=OTHER))]
    with pytest.raises(UserError, match="fewer than two of the runs can be compared: b: it was measured on"):
        compared(folders)
