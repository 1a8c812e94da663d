"""The wheel and the source archive: complete, accepted by twine, usable from an empty folder. The container's steps."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
MODULES = ("hatchling", "twine")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source archive of this checkout."""
    for module in MODULES:
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=ROOT)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints; an AssertionError where it fails."""
    ended = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    return ended.stdout


def test_a_registry_would_accept_both(built: tuple[Path, Path]) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built, cwd=ROOT)


def test_the_wheel_has_what_a_user_needs(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith("dist-info/METADATA"))
        facts = HeaderParser().parsestr(wheel.read(metadata).decode())
    for file in (ROOT / "conf").rglob("*.yaml"):
        assert f"sat_exp/{file.relative_to(ROOT)}" in names
    networks = {path.name for path in (ROOT / "sat_exp/models/bundled").glob("*.safetensors")}
    assert len(networks) == 13
    assert {f"sat_exp/models/bundled/{name}" for name in networks} < names
    assert "sat_exp/py.typed" in names
    assert facts["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in facts.get_all("Classifier", [])
    assert not [name for name in names if name.startswith(("tests/", "conf/", "outputs/")) or "checkpoints" in name]


def test_the_archive_has_the_tests_and_no_results(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/test_release.py", "docs/first-steps.md", "mkdocs.yml", "Makefile", "requirements/run.txt"} < names
    assert not [name for name in names if name.startswith(("outputs/", "site/", ".venv")) and "gitkeep" not in name]


def test_the_wheel_measures_from_an_empty_folder(built: tuple[Path, Path], tmp_path: Path) -> None:
    """The wheel is unpacked, and its own files are used: neither the checkout nor its conf/."""
    place, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", "install", *offline, "--target", place, built[0], cwd=empty)
    variables = {"PYTHONPATH": str(place), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    where = "import sat_exp.names as names; print(names.CONF)"
    assert Path(run(sys.executable, "-c", where, cwd=empty, **variables).strip()) == place / "sat_exp/conf"
    arguments = ("dataset.size=10", "attack.steps=1", "name=first")
    said = run(sys.executable, place / "bin/sat-exp", *arguments, cwd=empty, **variables)
    assert "fashion_resnet" in said
    assert (empty / "outputs/first/report.html").is_file()


def test_the_lock_of_the_program_is_a_part_of_the_lock_of_the_tools() -> None:
    pins = [
        set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("run.txt", "dev.txt")
    ]
    assert len(pins[0]) > 50
    assert pins[0] <= pins[1]


def test_the_container_copies_only_files_that_exist_and_are_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in kept, source


@pytest.mark.slow
@pytest.mark.parametrize("torch", ["cpu", "tpu"])
def test_the_steps_of_the_container_install_the_program(torch: str, tmp_path: Path) -> None:
    """The steps are run in a virtual environment instead of an image, up to the one that makes the user."""
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    programs = tmp_path / "venv/bin"
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "TORCH": torch, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    steps = [line for line in re.findall(r"^RUN (.+)$", DOCKERFILE, re.MULTILINE) if "useradd" not in line]
    assert len(steps) == 5
    if torch == "tpu":
        said = subprocess.run(["sh", "-c", steps[1]], env=os.environ | variables, capture_output=True, text=True)
        assert (said.returncode, said.stdout) == (1, "error: TORCH=tpu: give cpu or cuda\n")
        return
    for step in steps:
        run("sh", "-c", step, cwd=ROOT, **variables)
    arguments = shlex.split("dataset.size=10 attack.steps=1 name=first tracking=disabled")
    assert "report: " in run(programs / "sat-exp", *arguments, cwd=tmp_path, OMP_NUM_THREADS="1")
