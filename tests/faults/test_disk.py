"""A disk that is full at several moments. After space is freed, the same command completes."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .harness import OFFLINE, RUN, Ended, Undisturbed, all_of, continues, discard, one_line, run, undisturbed

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

SHARES = (0.0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.96)
"""Of what the run needs in all."""

PAGE = 4096

ATTACK = ("dataset=fashion_mnist", "dataset.size=8", "attack.steps=1", "hardware=cpu", "hardware.threads=1")
TRAIN = (
    "task=train", "model=fashion_convnext", "model.name=mine", "dataset.root={fashion}", "dataset.size=20",
    "task.epochs=2", "task.batch_size=50", "task.seeds=[0,1]", "hardware=cpu", "hardware.threads=1", "name=t",
)  # fmt: skip
TASKS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "attack, W&B offline": (False, (*ATTACK, "name=a", OFFLINE)),
    "sweep": (False, ("-m", "attack.epsilon=2,4", *ATTACK)),
    "train": (False, TRAIN),
    "report": (True, ("task=report", f"task.run=outputs/{RUN}")),
    "place": (True, ("task=place", "model=fashion_vit", f"task.run=outputs/{RUN}", "name=p", *ATTACK[3:])),
}
"""By name, whether a finished matrix is there, and the command."""


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at `folder`; skips the test where that cannot be had."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def needed(folder: Path) -> tuple[int, int]:
    """Pages and inodes of what lies in a folder."""
    paths = list(folder.rglob("*"))
    return sum(-(-path.stat().st_size // PAGE) for path in paths if path.is_file()), len(paths)


def ends_in_one_line(ended: Ended) -> str | None:
    """What is wrong with how a command ended on a full disk; a run that needed no more room may end well."""
    if "Logging error" in ended.text or "Exception ignored" in ended.text:
        return f"more than one line: {ended.text[-3000:]}"
    return None if ended.status == 0 and "Traceback" not in ended.text else one_line(ended)


@pytest.mark.parametrize("study", ["matrix", "distillation"])
@pytest.mark.parametrize("what", ["space", "files"])
def test_the_same_command_completes_once_there_is_room(
    request: pytest.FixtureRequest, tally: Any, tmp_path: Path, study: str, what: str
) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    fills_up(tally, tmp_path, study, known, None, SHARES if what == "space" else SHARES[1::2], what)


@pytest.mark.parametrize("what", ["space", "files"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_ends_in_one_line(
    tally: Any, tmp_path: Path, matrix: Undisturbed, fashion: Path, task: str, what: str
) -> None:
    before, arguments = TASKS[task]
    start = matrix.folder if before else None
    folder = matrix.copy(tmp_path / "known") if before else tmp_path / "known"
    arguments = tuple(argument.format(fashion=fashion) for argument in arguments)
    known = undisturbed(folder, arguments)
    fills_up(tally, tmp_path, task, known, start, SHARES[1::3] if what == "space" else SHARES[2::4], what)


def fills_up(
    tally: Any, tmp_path: Path, name: str, known: Undisturbed, start: Path | None, shares: Sequence[float], what: str
) -> None:
    """Run a command on disks with a share of the room it needs, beside what lies in `start`; then with enough."""
    used = needed(start) if start is not None else (0, 0)
    needs = [all_of_it - there for all_of_it, there in zip(needed(known.folder), used, strict=True)]

    def trial(share: float) -> str | None:
        folder = tmp_path / f"disk {share}"
        pages, inodes = (there + int(share * more) for there, more in zip(used, needs, strict=True))
        small = f"size={max(1, pages) * PAGE}" if what == "space" else f"nr_inodes={2 + inodes}"
        with mounted(folder, "size=1g"):
            if start is not None:
                shutil.copytree(start, folder, dirs_exist_ok=True)
            subprocess.run(["mount", "-o", f"remount,{small}", str(folder)], check=True)
            ended = run(folder, known.arguments)
            wrong = ends_in_one_line(ended)
            subprocess.run(["mount", "-o", "remount,size=1g,nr_inodes=100k", str(folder)], check=True)
            then = continues(folder, known)
        how = "it ended well" if ended.status == 0 else "one line"
        told = f"{how}, then the same bytes" if wrong is None else "ended ill, then the same bytes"
        tally(f"no {what} left", name, told if then is None else "WENT WRONG")
        wrong = "; ".join(part for part in (wrong, then) if part) or None
        if wrong is None:
            discard(folder)
        return wrong

    wrong = all_of(shares, trial)
    assert not wrong, "\n".join(wrong)
