"""The locks in requirements/: complete, with hashes, equal to the installation, within the ranges of pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
BUILDS = ("torch.txt", "torch-cpu.txt")
OURS = pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not the environment that make setup makes")


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Every requirement of a lock with its options; fails on a line that is no requirement."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition(" --")[0]), re.findall(r"--\S+", line)) for line in lines]


def locked(*names: str, python: str | None = None, platform: str | None = None) -> dict[str, str]:
    """Name -> version of the locks on a Python and platform, this one where none is given."""
    given = {"python_version": python, "python_full_version": python and f"{python}.0", "sys_platform": platform}
    where = {key: value for key, value in given.items() if value is not None}
    versions: dict[str, str] = {}
    for name in names:
        for requirement, _ in entries(name):
            if requirement.marker is None or requirement.marker.evaluate(where):
                (pin,) = requirement.specifier
                assert pin.operator == "==", requirement
                assert versions.setdefault(requirement.name, pin.version) == pin.version, requirement.name
    return versions


def wanted(project: dict, *extras: str) -> list[Requirement]:
    """What the project and its extras ask for, extras of extras too."""
    found = []
    for text in project["dependencies"] + [
        part for extra in extras for part in project["optional-dependencies"][extra]
    ]:
        requirement = Requirement(text)
        found += wanted(project, *requirement.extras) if requirement.name == "sat_exp" else [requirement]
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_every_entry_is_one_version_with_hashes_and_names_no_place(name: str) -> None:
    found = entries(name)
    assert found
    for requirement, options in found:
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert requirement.url is None, requirement
        assert options, requirement
        assert all(HASH.fullmatch(option) for option in options), requirement


@OURS
def test_what_is_installed_is_what_is_locked() -> None:
    every = [(found, Path(str(found.locate_file("")))) for found in distributions()]
    own = [(found, place) for found, place in every if place.is_relative_to(sys.prefix)]
    here = [found for found, place in own if "_vendor" not in place.parts]  # of setuptools, once it is imported
    installed = {canonicalize_name(found.metadata["Name"]): found.version for found in here}
    assert installed.pop("sat-exp")
    build = "torch-cpu.txt" if installed["torch"].endswith("+cpu") else "torch.txt"
    versions = locked("build.txt", "dev.txt", build)
    assert {name: versions.get(name) for name in installed} == installed


@OURS
def test_nothing_that_an_installed_package_needs_is_missing() -> None:
    said = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True).stdout
    known = r"torchattacks \S+ has requirement requests|adv-lib \S+ requires visdom"  # see requirements/overrides.in
    wrong = [line for line in said.splitlines() if not re.match(known, line)]
    assert wrong in ([], ["No broken requirements found."])


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_ranges_of_the_project_admit_the_lock(python: str, platform: str, build: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = locked("build.txt", "dev.txt", build, python=python, platform=platform)
    ranges = wanted(settings["project"], "dev") + [Requirement(text) for text in settings["build-system"]["requires"]]
    assert len(ranges) > 30
    for requirement in ranges:
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"make lock: {requirement} is not locked"
        assert requirement.specifier.contains(version, prereleases=True), f"make lock: {requirement} is not {version}"


def test_both_builds_of_torch_are_one_release() -> None:
    registry, cpu = (locked(name) for name in BUILDS)
    assert cpu["torch"] == f"{registry['torch']}+cpu"
    assert {name: version for name, version in cpu.items() if name != "torch"}.items() <= registry.items()
