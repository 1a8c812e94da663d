"""A disk that fills up at several moments, is freed, and the same command."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .harness import Undisturbed, all_of, continues, discard, one_line, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

SHARES = (0.0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.96)
"""Of what the run needs in all."""

PAGE = 4096


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


@pytest.mark.parametrize("study", ["matrix", "distillation"])
@pytest.mark.parametrize("what", ["space", "files"])
def test_the_same_command_completes_once_there_is_room(
    request: pytest.FixtureRequest, tally: Any, tmp_path: Path, study: str, what: str
) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    pages, inodes = needed(known.folder)

    def trial(share: float) -> str | None:
        folder = tmp_path / f"disk {share}"
        small = (
            f"size={max(1, int(share * pages)) * PAGE}" if what == "space" else f"nr_inodes={2 + int(share * inodes)}"
        )
        with mounted(folder, small):
            ended = run(folder, known.arguments)
            wrong = "it ended well" if ended.status == 0 else one_line(ended)
            subprocess.run(["mount", "-o", "remount,size=1g,nr_inodes=100k", str(folder)], check=True)
            then = continues(folder, known)
        told = "one line, then the same bytes" if wrong is None else "ended ill, then the same bytes"
        tally(f"no {what} left", study, told if then is None else "WENT WRONG")
        wrong = "; ".join(part for part in (wrong, then) if part) or None
        if wrong is None:
            discard(folder)
        return wrong

    wrong = all_of(SHARES if what == "space" else SHARES[1::2], trial)
    assert not wrong, "\n".join(wrong)
