"""make audit: it lists known vulnerabilities, and never reports a package as sound that it could not check."""

import json
import runpy
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
SOUND = {"name": "rich", "version": "15.0.0", "vulns": []}
SKIPPED = {"name": "attrs", "skip_reason": "Dependency not found and could not be audited: attrs (26.1.0)"}
KNOWN = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1", "3.0"], "description": "long\ntext"}
AFFECTED = {"name": "jinja2", "version": "2.0", "vulns": [KNOWN]}


def audit(monkeypatch: pytest.MonkeyPatch, out: str, err: str = "", status: int = 0) -> int:
    """The exit status where pip-audit says `out` and `err` and ends with `status`."""

    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        named = [Path(part) for flag, part in pairwise(command) if flag == "--requirement"]
        assert [path.name for path in named] == ["build.txt", "dev.txt", "torch.txt"]
        assert all(path.is_file() for path in named)
        return subprocess.CompletedProcess(command, status, out, err)

    monkeypatch.setattr(subprocess, "run", answer)
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("it did not end with a status")


def said(*packages: dict) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_nothing_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(monkeypatch, said(SOUND)) == 0
    assert capsys.readouterr().out == "No vulnerability is known in 1 packages.\n"


def test_what_is_known_is_a_line_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(monkeypatch, said(SOUND, AFFECTED), status=1) == 1
    assert capsys.readouterr().out == "jinja2 2.0: PYSEC-1, CVE-1; mended in 2.1 or 3.0\n"


def test_packages_that_were_skipped_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(monkeypatch, said(SOUND, SKIPPED)) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "error: 1 of 2 packages were not checked: attrs\n"


def test_a_service_that_knows_no_package_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(monkeypatch, said(SKIPPED)) == 2
    assert "1 of 1 packages were not checked: the vulnerability service cannot be reached" in capsys.readouterr().err


def test_findings_are_listed_though_others_were_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(monkeypatch, said(AFFECTED, SKIPPED), status=1) == 1
    written = capsys.readouterr()
    assert written.out.startswith("jinja2 2.0: ")
    assert "attrs" in written.err


@pytest.mark.parametrize(
    ("err", "why"),
    [
        ("Traceback (most recent call last):\n  line\nConnectionError: no name", "service cannot be reached from here"),
        ("Traceback (most recent call last):\nNo module named pip_audit", "No module named pip_audit"),
        ("", "pip-audit said nothing"),
    ],
)
def test_a_crash_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], err: str, why: str
) -> None:
    assert audit(monkeypatch, "", err, status=1) == 2
    written = capsys.readouterr().err
    assert written.startswith("error: no package was checked: ")
    assert written.endswith(why + "\n")
    assert written.count("\n") == 1
