"""The pages of the site: the commands that they show are accepted, the code that they name exists, every public name
and every setting is described, and nothing is loaded from elsewhere."""

import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig

import sat_exp
from sat_exp import testing
from sat_exp.names import CONF, files_of, resolve
from sat_exp.settings.checking import check_values

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "experiments").rglob("*.md"))]
BLOCKS = re.compile(r"^```(?:sh|yaml)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = re.compile(r"`(sat_exp(?:\.\w+)+)`")
MADE = ("-cd",)  # options whose folder a command before makes


def commands() -> Iterator[tuple[str, list[str]]]:
    """The page of each command of sat-exp, and its arguments."""
    for page in PAGES:
        for block in BLOCKS.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                match = re.match(r" *(?:python -m sat_exp|sat-exp)( |$)", line)
                if match:
                    yield page.name, shlex.split(line[match.end() :], comments=True)


COMMANDS = [(page, typed) for page, typed in commands() if not {*MADE} & {*typed}]


def swept(typed: list[str]) -> list[str]:
    """The settings of the first job of a command."""
    if "-m" not in typed:
        return typed
    return [re.sub(r"^([\w.@]+)=([^\[{(,]+),.*$", r"\1=\2", part) for part in typed if part != "-m"]


@pytest.mark.parametrize(("page", "typed"), COMMANDS, ids=[f"{page}:{' '.join(typed)}" for page, typed in COMMANDS])
def test_a_command_on_a_page_is_accepted(
    page: str, typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = r"(?:=\[?|,)([\w/]+\.(?:csv|safetensors)|outputs/[\w/]+)(?=[\],]|$)"
    for file in re.findall(names, "\n".join(typed), re.MULTILINE):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("config", overrides=resolve(swept(typed), CONF), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        check_values(config)


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_that_a_page_names_exists(page: Path) -> None:
    for name in NAMES.findall(page.read_text(encoding="utf-8")):
        assert pkgutil.resolve_name(name)


def test_every_public_name_is_described() -> None:
    described = set(re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE))
    public = {f"sat_exp.{name}" for name in sat_exp.__all__}
    assert described == public | {f"sat_exp.testing.{name}" for name in testing.__all__}


def test_the_page_of_settings_has_every_choice_with_its_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    import site_settings

    page = site_settings.page(ROOT / "conf")
    for group in site_settings.GROUPS:
        shown = {"model": "| `{}` |", "pool": "| `{}` |"}.get(group, f"### {group}={{}}\n")
        for choice in files_of(group):
            if choice != "timm":
                assert shown.format(choice) in page, (group, choice)
    for row in (
        "| `labels` | `truth` | `truth`, `consensus`, `own` |",
        "| `epsilon` | `8` | a whole number, at least 0, at most 255 |",
        "| `size` | `3` | a whole number, at least",
        "| `optimizer` | `adamw` | a text; any optimiser of timm |",
        "| `students` | to be given | a list; each: a text |",
    ):
        assert row in page
    assert "- **purpose**: ensemble" in page
    assert not re.findall(r"^\| .*any value.*$", page, re.MULTILINE)


@pytest.mark.slow
def test_the_site_is_built_with_every_link_right_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    folder, programs = tmp_path / "site", Path(sys.executable).parent
    built = [programs / "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    linked = [sys.executable, ROOT / ".ci/links.py", folder]
    for command in (built, linked):
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    (folder / "docs/store.html").unlink()
    ended = subprocess.run(linked, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert "docs/store.html" in ended.stdout
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 30
    loads = re.compile(r'<(?:script|img|iframe|link rel="(?:stylesheet|icon)")[^>]*(?:src|href)="(?:https?:)?//')
    assert not [page for page in pages if loads.search(page.read_text(encoding="utf-8"))]
    assert "<math" in (folder / "docs/numbers.html").read_text(encoding="utf-8")
