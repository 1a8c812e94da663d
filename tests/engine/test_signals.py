"""Ctrl-C and SIGTERM while processes work: the command and its processes end, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

STUDY = (
    "task=matrix", "pool=any", "pool.models=[fashion_mixer,fashion_resmlp]", "dataset=fashion_mnist",
    "dataset.size=24", "attack=pgd", "attack.steps=80", "hardware.threads=1", "hardware.batch_size=1",
    "score.resamples=50", "tracking=disabled", "name=m", "engine=processes", "engine.workers=2", "engine.seconds=3",
)  # fmt: skip


def start(folder: Path) -> subprocess.Popen[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    command = [sys.executable, "-m", "sat_exp", *STUDY, f"output_dir={folder}"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def group(leader: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(number) == leader and state != "Z":
                found.append(int(entry.name))
    return found


def until(condition: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def to_all(process: subprocess.Popen[str]) -> None:
    """As a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "status"),
    [pytest.param(to_all, 130, id="Ctrl-C"), pytest.param(subprocess.Popen.terminate, 143, id="SIGTERM")],
)
def test_the_command_and_its_processes_end_and_the_same_command_goes_on(
    tmp_path: Path, send: Callable[[subprocess.Popen[str]], None], status: int
) -> None:
    running = start(tmp_path)

    def chunks() -> list[Path]:
        return [*tmp_path.glob("store/adversarial/*/*.0.0.0")]

    try:
        until(lambda: len(chunks()) >= 4 or running.poll() is not None, 60)
        assert len(group(running.pid)) >= 3
        send(running)
        text, _ = running.communicate(timeout=15)
        assert running.returncode == status, text
        until(lambda: not group(running.pid), 10)
    finally:
        if left := group(running.pid):
            os.killpg(running.pid, signal.SIGKILL)
    assert not left
    assert "Traceback" not in text
    before = {file: file.read_bytes() for file in chunks()}
    again = start(tmp_path)
    text, _ = again.communicate(timeout=120)
    assert again.returncode == 0, text
    assert {file: file.read_bytes() for file in before} == before
    assert len(pd.read_parquet(tmp_path / "m" / "tables" / "pairs.parquet")) > 0
