"""Signs of life where the error stream is no terminal: lines at times that grow apart, and none for short work."""

import time

import pytest

from sat_exp import progress as module
from sat_exp.progress import progress, waiting


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves on, for the bars of rich."""
    now = [0.0]
    real = module.Progress
    monkeypatch.setattr(
        module, "Progress", lambda *columns, **options: real(*columns, get_time=lambda: now[0], **options)
    )
    return now


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if " left" in line]


def test_a_pipe_gets_lines_with_the_time_that_is_left(clock, capsys):
    with progress("clusters", 100) as bar:
        for _ in range(50):
            clock[0] += 1
            bar(1)
    written = lines(capsys.readouterr().err)
    assert written[0].split() == ["clusters", "3/100,", "3", "s,", "about", "97", "s", "left"]
    assert 50 / 3 - 2 <= len(written) <= 50 / 3


def test_lines_of_long_work_are_rare(clock, capsys):
    with progress("attack", 100_000) as bar:
        for _ in range(1000):
            clock[0] += 36
            bar(1)
    assert len(lines(capsys.readouterr().err)) < 200


def test_short_work_has_no_lines(clock, capsys):
    with progress("sizes", 2) as bar:
        clock[0] += 2
        bar(2)
    assert not lines(capsys.readouterr().err)


def test_a_wait_is_told_after_three_seconds(monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with waiting("loading libraries"):
        time.sleep(0.5)
    assert capsys.readouterr().err == "loading libraries ...\n"


def test_a_short_wait_is_not_told(monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with waiting("loading libraries"):
        pass
    time.sleep(0.5)
    assert capsys.readouterr().err == ""
