"""Several processes that run the same command at the same time. One of them is killed, and the others complete."""

import signal
from pathlib import Path
from typing import Any

import pytest

from .harness import Undisturbed, differences, discard, left, seeded, start

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("study", ["pair", "matrix", "distillation"])
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_one_is_killed_and_the_others_end_well(
    request: pytest.FixtureRequest, tally: Any, tmp_path: Path, study: str, processes: int, seed: int
) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    folder = tmp_path / "trial"
    at = int(seeded("processes", study, processes, seed).integers(len(known.repeated)))
    running = [start(folder, known.arguments, at=at), *(start(folder, known.arguments) for _ in range(processes - 1))]
    ended = [each.wait() for each in running]
    wrong = [f"{each.status}: {each.text[-2500:]}" for each in ended[1:] if each.status != 0]
    wrong += differences(left(folder), known.left)
    tally("one killed", f"{study}, {processes} processes", "others ended well" if not wrong else "WENT WRONG")
    assert not wrong, "\n".join(wrong)
    assert ended[0].status == -signal.SIGKILL
    discard(folder)


@pytest.mark.parametrize("study", ["pair", "distillation"])
def test_none_is_killed(request: pytest.FixtureRequest, tally: Any, tmp_path: Path, study: str) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    folder = tmp_path / "trial"
    running = [start(folder, known.arguments) for _ in range(3)]
    wrong = [f"{each.status}: {each.text[-2500:]}" for each in [one.wait() for one in running] if each.status != 0]
    wrong += differences(left(folder), known.left)
    tally("none killed", f"{study}, 3 processes", "all ended well" if not wrong else "WENT WRONG")
    assert not wrong, "\n".join(wrong)
