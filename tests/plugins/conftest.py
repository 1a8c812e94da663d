"""Plug-ins for the tests: the example, installed as a user installs it, and small ones that the tests write."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sat_exp import plugins
from sat_exp.runs import registry
from sat_exp.settings import search_path

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """A folder into which the example is installed, offline and without its dependencies, which are here."""
    for tool in ("pip", "hatchling"):
        pytest.importorskip(tool, reason=f"needs {tool} to install the example offline")
    target = tmp_path_factory.mktemp("installed")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, EXAMPLE], check=True)
    return target


@pytest.fixture
def written(tmp_path) -> Callable[..., Path]:
    """Writes an installed package: its files by path, and its entry points by group."""

    def write(package: str, files: dict[str, str], points: dict[str, str]) -> Path:
        folder = tmp_path / f"with_{package}"
        information = folder / f"{package}-1.0.dist-info"
        for path, text in (
            {f"{package}/__init__.py": ""} | {f"{package}/{name}": files[name] for name in files}
        ).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"[{group}]\n{point}\n" for group, point in points.items()]
        (information / "entry_points.txt").write_text("\n".join(lines))
        return folder

    return write


@pytest.fixture
def on_path(monkeypatch):
    """Puts folders of installed packages on the path of this process, in which plug-ins are then looked for afresh."""

    def put(*places: Path) -> None:
        for place in places:
            monkeypatch.syspath_prepend(str(place))
        forget()

    yield put
    monkeypatch.undo()
    forget()


def forget() -> None:
    plugins.forget()
    for cached in (search_path.plugin_folders, registry.studies, registry.tables):
        cached.cache_clear()


@pytest.fixture
def command(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in another process that finds the packages in the folders `installed`."""

    def run(*arguments: str, installed: tuple[Path, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, installed))}
        return subprocess.run(
            [sys.executable, "-m", "sat_exp", *arguments],
            capture_output=True, text=True, cwd=tmp_path, env=environment | variables,
        )  # fmt: skip

    return run
