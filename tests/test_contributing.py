"""The examples of CONTRIBUTING.md: their files are written into a copy of the checkout, and their commands run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = ("A model", "An attack", "A measure", "A data set", "A study")
FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {title}: .*?(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no example {title}"
    return found[0]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the examples add to, with the bundled weights as links."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("conf", "sat_exp"):
        shutil.copytree(
            ROOT / name, copy / name, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_works_as_written(checkout: Path, title: str) -> None:
    text = section(title)
    for name, content in FILE.findall(text):
        place = checkout / name
        assert not place.exists(), f"{name} exists already"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
    environment = os.environ | {"WANDB_MODE": "disabled", "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    commands = [line for block in COMMANDS.findall(text) for line in block.splitlines()]
    assert commands
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "python"
        ended = subprocess.run(
            [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        assert "report: " in ended.stdout or arguments[1] == "pytest", ended.stdout
