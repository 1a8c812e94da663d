"""Ctrl-C and SIGTERM at seeded moments: the run ends with one line within ten seconds, and the same command goes on.

Ctrl-C gives exit code 130, SIGTERM 143, and the run is marked as stopped. A run that completes before it receives the
signal is also accepted. A moment is a write event or a time.
"""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .harness import OFFLINE, RUN, Ended, Undisturbed, all_of, continues, discard, ill_said, run, seeded, start

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

LONGEST = 10.0
"""Seconds from a signal to the end."""


def at_an_event(known: Undisturbed, folder: Path, arguments: list[str], number: int, seed: int) -> Ended:
    at = int(seeded("signal", number, seed).integers(len(known.events)))
    return run(folder, arguments, at=at, number=number)


def at_a_time(known: Undisturbed, folder: Path, arguments: list[str], number: int, seed: int) -> Ended:
    running = start(folder, arguments)
    time.sleep(float(seeded("signal", number, seed).uniform(0.3, known.seconds)))
    running.send(number)
    sent = time.monotonic()
    ended = running.wait()
    assert time.monotonic() - sent < LONGEST
    return ended


MOMENTS = {"before an event": at_an_event, "at a time": at_a_time}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("study", "tracking", "trials"), [("matrix", [], 14), ("distillation", [], 12), ("pair", [OFFLINE], 6)]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_asked_to_end_says_so_and_continues(
    request: pytest.FixtureRequest,
    tally: Any,
    tmp_path: Path,
    study: str,
    tracking: list[str],
    trials: int,
    number: signal.Signals,
    moment: str,
) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    outcomes: Counter[int] = Counter()

    def trial(seed: int) -> str | None:
        folder = tmp_path / str(seed)
        ended = MOMENTS[moment](known, folder, [*known.arguments, *tracking], number, seed)
        outcomes[ended.status] += 1
        outcome = "ran to its end" if ended.status == 0 else f"exit code {ended.status}"
        pointer = folder / "outputs" / RUN / "tracking.json"
        state = json.loads(pointer.read_text())["state"] if pointer.is_file() else "not begun"
        wrong = ill_said(ended, number, folder) or continues(folder, known)
        tally(
            f"{number.name} {moment}",
            " ".join([study, *tracking]),
            f"{outcome}, {state}, then the same bytes" if wrong is None else "WENT WRONG",
        )
        if wrong is None:
            discard(folder)
        return wrong

    wrong = all_of(range(trials), trial)
    assert not wrong, "\n".join(wrong)
    assert outcomes[128 + number] >= trials // 2
