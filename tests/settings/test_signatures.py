"""Signatures read from source files are those of the objects; a wrong setting is refused before anything heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sat_exp.names import files_of
from sat_exp.settings.configuration import GROUPS
from sat_exp.settings.schema import of_signature
from sat_exp.settings.signatures import read, signature_of
from sat_exp.settings.targets import TARGET, imported


def target_of(group: str, choice: str) -> str:
    stated = yaml.safe_load(files_of(group)[choice].read_text())
    return stated.get(group, stated).get(TARGET, "")


TARGETS = sorted({target_of(group, choice) for group in (*GROUPS, "measure") for choice in files_of(group)} - {""})


@pytest.mark.parametrize("target", TARGETS)
def test_a_signature_from_source_is_that_of_the_object(target):
    stated, real = signature_of(target), of_signature(imported(target))
    assert str(stated.__annotations__) == str(real.__annotations__)
    assert list(stated.__annotations__) == list(real.__annotations__)
    assert stated.__pydantic_config__ == real.__pydantic_config__


@pytest.mark.parametrize(
    "target", ["no_such_package.run", "sat_exp.no_such_module.run", "sat_exp.attacks.Nothing", "run"]
)
def test_what_has_no_source_has_no_signature(target):
    assert signature_of(target) is None


def test_a_package_is_read_without_being_run(tmp_path, monkeypatch):
    package = tmp_path / "loud_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it ran')\nfrom .inner import Thing as Renamed\n")
    (package / "inner.py").write_text(
        "import torch\nfrom typing import Literal\nMOST = 3\nHow = Literal['a', 'b']\n"
        "class Thing(torch.nn.Module):\n    def __init__(self, how: How, most: int = MOST, x: torch.Tensor = 0): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    signature = signature_of("loud_package.Renamed")
    read.cache_clear()
    assert [str(hint) for hint in signature.__annotations__.values()] == [
        "typing.Required[typing.Literal['a', 'b']]",
        "typing.NotRequired[int]",
        "typing.NotRequired[typing.Any]",
    ]


def test_every_wrong_setting_is_refused_before_anything_heavy_is_imported():
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("refusals.py")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["heavy"] == []
    accepted = [name for name, message in told["messages"].items() if not message or "\n" in message]
    assert accepted == []
    for name, message in told["messages"].items():
        assert name in message
    assert len(told["messages"]) > 100
