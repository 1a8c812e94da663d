"""Ctrl-C and SIGTERM at seeded moments: the same command continues.

Each ends in one line, Ctrl-C with exit code 130, SIGTERM with 143; a run may be done before it notices.
"""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .harness import Undisturbed, all_of, continues, discard, ill_said, run, seeded

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("study", ["matrix", "distillation"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_asked_to_end_says_so_and_continues(
    request: pytest.FixtureRequest, tally: Any, tmp_path: Path, study: str, number: signal.Signals
) -> None:
    known: Undisturbed = request.getfixturevalue(study)
    outcomes: Counter[str] = Counter()

    def trial(seed: int) -> str | None:
        folder = tmp_path / str(seed)
        at = int(seeded(study, number.name, seed).integers(len(known.events)))
        ended = run(folder, known.arguments, at=at, number=number)
        outcome = "ran to its end" if ended.status == 0 else f"exit code {ended.status}"
        wrong = ill_said(ended, number) or continues(folder, known)
        outcomes[outcome] += 1
        tally(number.name, study, f"{outcome}, then the same bytes" if wrong is None else "WENT WRONG")
        if wrong is None:
            discard(folder)
        return None if wrong is None else f"{wrong} (before {known.events[at]})"

    wrong = all_of(range(14), trial)
    assert not wrong, "\n".join(wrong)
    assert outcomes[f"exit code {128 + number}"] >= 10
