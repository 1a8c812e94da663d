"""SIGKILL at seeded moments of a matrix and of a distillation: the same command then gives the undisturbed bytes.

A kill by event comes before the k-th file is opened for writing, renamed, linked or removed. A kill by time comes at
any moment. A torn write is a file of a process that dies after it has written a given number of bytes.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness import OFFLINE, Undisturbed, all_of, continues, discard, run, seeded, start

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

PLACES = ("outputs/store", "outputs/m", "outputs")


def moment(events: list[str], place: str, *seed: Any) -> int:
    """The number of one of the events below `place`."""
    fitting = [number for number, path in enumerate(events) if path.startswith(place)]
    return int(seeded(*seed).choice(fitting))


def killed_by_event(known: Undisturbed, folder: Path, seed: int) -> tuple[str | None, int]:
    """Kill the command, then its continuation, then let it end; what is wrong, and how many kills struck."""
    place = PLACES[seed % len(PLACES)]
    tracking = [OFFLINE] if seed % 5 == 0 else []
    trial, kills = folder / f"event {seed}", 0
    for attempt, events in enumerate((known.events, known.repeated)):
        at = moment(events, place, "kill", seed, attempt)
        ended = run(trial, [*known.arguments, *tracking], at=at)
        kills += ended.status == -signal.SIGKILL
        if ended.status not in (0, -signal.SIGKILL):
            return f"ended with {ended.status}: {ended.text[-1500:]}", kills
    wrong = continues(trial, known)
    if wrong is None:
        discard(trial)
    return wrong, kills


def killed_by_time(known: Undisturbed, folder: Path, seed: int) -> tuple[str | None, int]:
    trial = folder / f"time {seed}"
    running = start(trial, known.arguments)
    time.sleep(float(seeded("time", seed).uniform(0, known.seconds)))
    running.send(signal.SIGKILL)
    kills = int(running.wait().status == -signal.SIGKILL)
    wrong = continues(trial, known)
    if wrong is None:
        discard(trial)
    return wrong, kills


def torn(known: Undisturbed, folder: Path, seed: int) -> tuple[str | None, int]:
    trial = folder / f"torn {seed}"
    limit = int(10 ** seeded("torn", seed).uniform(1, 5.3))
    ended = run(trial, known.arguments, limit=limit)
    wrong = continues(trial, known)
    if wrong is None:
        discard(trial)
    return wrong, int(ended.status == -signal.SIGXFSZ)


Kill = Callable[[Undisturbed, Path, int], tuple[str | None, int]]


@pytest.mark.parametrize(
    ("study", "name", "kill", "seeds", "least"),
    [
        ("matrix", "SIGKILL before an event", killed_by_event, 54, 100),
        ("matrix", "SIGKILL at a time", killed_by_time, 24, 16),
        ("matrix", "death in the middle of a write", torn, 16, 12),
        ("distillation", "SIGKILL before an event", killed_by_event, 42, 76),
        ("distillation", "SIGKILL at a time", killed_by_time, 16, 10),
        ("distillation", "death in the middle of a write", torn, 16, 12),
    ],
)
def test_the_same_command_continues(
    request: pytest.FixtureRequest,
    tally: Any,
    tmp_path: Path,
    study: str,
    name: str,
    kill: Kill,
    seeds: int,
    least: int,
) -> None:
    known = request.getfixturevalue(study)
    struck: list[int] = []

    def trial(seed: int) -> str | None:
        wrong, kills = kill(known, tmp_path, seed)
        struck.append(kills)
        for _ in range(kills):
            tally(name, study, "continued to the same bytes" if wrong is None else "WENT WRONG")
        return wrong

    wrong = all_of(range(seeds), trial)
    assert not wrong, "\n".join(wrong)
    assert sum(struck) >= least
