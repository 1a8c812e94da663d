"""Many deaths of workers and of the process that gives them work: the same bytes, and little is done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .harness import seeded

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

KILLS = 63  # one of them of the head
STUDY = (
    "task=matrix", "pool=any", "pool.models=[fashion_convnext,fashion_nfnet,fashion_mixer,fashion_resmlp]",
    "dataset=fashion_mnist", "dataset.size=512", "attack=pgd", "attack._target_=noted.Noted", "allow=[noted]",
    "attack.steps=3", "hardware=cpu", "hardware.threads=1", "hardware.batch_size=1", "score.resamples=50",
    "tracking=disabled", "name=m",
)  # fmt: skip
PATIENCE = 300
"""Seconds without a new chunk after which the study counts as stuck."""


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start the study in `folder`; its output goes to a file there."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"NOTED": str(folder / "noted"), "PYTHONPATH": path(), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sat_exp", *STUDY, *arguments, f"output_dir={folder}"]
    with (folder / "text").open("ab") as text:
        return subprocess.Popen(command, stdout=text, stderr=text, env=environment, start_new_session=True)


def path() -> str:
    return os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])


def chunks(folder: Path) -> dict[str, bytes]:
    """The bytes of all chunks and rows of the store."""
    files = [file for file in folder.glob("store/*/*/*") if file.name[0].isalnum() and file.suffix != ".json"]
    kept = [file for file in files if file.parts[-3] not in ("locks", "quarantine") and file.suffix != ".partial"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in kept}


def stored(folder: Path) -> int:
    return sum(1 for file in folder.glob("store/adversarial/*/*") if file.name[0].isdigit())


def workers(head: int) -> list[int]:
    """The processes that a head has started for work."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                is_worker = "popen_loky" in (entry / "cmdline").read_text()
            except OSError:
                continue
            if parent == head and is_worker:
                found.append(int(entry.name))
    return sorted(found)


def progressed(folder: Path, head: subprocess.Popen, target: int) -> bool:
    """Wait until the store has `target` adversarial chunks; False where the study ends before."""
    best, since = 0, time.monotonic()
    while head.poll() is None:
        if (now := stored(folder)) >= target:
            return True
        if now > best:
            best, since = now, time.monotonic()
        assert time.monotonic() - since < PATIENCE, f"nothing new for {PATIENCE} s: {ends(folder)}"
        time.sleep(0.02)
    return False


def ends(folder: Path) -> str:
    return (folder / "text").read_text(errors="replace")[-1500:]


def test_sixty_deaths_of_workers_and_one_of_the_head(tmp_path: Path, tally: Callable[[str, str, str], None]) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    assert start(calm).wait(1200) == 0, ends(calm)
    expected = stored(calm)
    rng = seeded("engines")
    moments = np.sort(rng.choice(np.arange(10, int(expected * 0.97)), KILLS, replace=False))
    engine = ("engine=processes", "engine.workers=4", "engine.seconds=3")
    head, deaths, head_dies = start(wild, *engine), 0, KILLS // 2
    for number, moment in enumerate(moments):
        if not progressed(wild, head, int(moment)):
            break
        if number == head_dies:
            os.kill(head.pid, signal.SIGKILL)
            head.wait()
            head = start(wild, *engine)
            tally("SIGKILL", "head", "the same command went on")
            continue
        while not (alive := workers(head.pid)) and head.poll() is None:
            time.sleep(0.1)
        if not alive:
            break
        os.kill(int(rng.choice(alive)), signal.SIGKILL)
        deaths += 1
        tally("SIGKILL", "one of 4 workers", "another did its piece")
    assert head.wait(1200) == 0, ends(wild)
    assert deaths >= 60
    assert chunks(wild) == chunks(calm)
    for table in ("pairs", "intervals"):
        if (file := calm / "m" / "tables" / f"{table}.csv").is_file():
            assert file.read_bytes() == (wild / "m" / "tables" / f"{table}.csv").read_bytes()
    once, done = (calm / "noted").stat().st_size, (wild / "noted").stat().st_size
    print(f"{deaths} workers and the head died; {done - once} of {once} images were attacked twice")
    assert done - once < 0.05 * once
