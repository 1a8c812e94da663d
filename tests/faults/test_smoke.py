"""One quick trial of each kind of fault. `pytest -m faults` runs the others."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from .damage import Damaging, each_kind
from .harness import STOPPED, Undisturbed, continues, ill_said, run, seeded, start
from .servers import ONLINE, refusing, settings


@pytest.mark.parametrize("place", ["outputs/store", pytest.param("outputs/m", marks=pytest.mark.faults)])
def test_killed_and_continued(tally: Any, tmp_path: Path, pair: Undisturbed, place: str) -> None:
    numbers = [number for number, path in enumerate(pair.events) if path.startswith(place)]
    ended = run(tmp_path / "trial", pair.arguments, at=int(seeded("smoke", place).choice(numbers)))
    assert ended.status == -signal.SIGKILL
    wrong = continues(tmp_path / "trial", pair)
    assert wrong is None, wrong
    tally("SIGKILL before an event", f"pair, {place}", "continued to the same bytes")


def test_one_of_two_is_killed(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    dying = start(tmp_path / "trial", pair.arguments, at=len(pair.repeated) // 2)
    wrong = continues(tmp_path / "trial", pair)
    assert wrong is None, wrong
    assert dying.wait().status == -signal.SIGKILL
    tally("one killed", "pair, 2 processes", "others ended well")


def test_a_damaged_chunk(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    (name,) = [name for name in each_kind(pair.folder, "outputs/store/adversarial/*/*") if not name.endswith(".json")]
    Damaging(pair, tmp_path, tally, "store").all([name], damages=("flipped", "missing"))


@pytest.mark.parametrize(
    ("stage", "file", "number"),
    [
        ("attack", "outputs/store/adversarial", signal.SIGINT),
        ("publishing", "manifest.json", signal.SIGTERM),
        pytest.param("drawing", "figures/", signal.SIGTERM, marks=pytest.mark.faults),
        pytest.param("writing with Pillow", "examples/", signal.SIGINT, marks=pytest.mark.faults),
    ],
)
def test_asked_to_end(
    tally: Any, tmp_path: Path, pair: Undisturbed, stage: str, file: str, number: signal.Signals
) -> None:
    at = next(event for event, path in enumerate(pair.events) if file in path)
    ended = run(tmp_path / "trial", pair.arguments, at=at, number=number)
    assert ended.status == 128 + number
    assert ill_said(ended, number, tmp_path / "trial") is None
    assert json.loads((tmp_path / "trial/outputs/m/tracking.json").read_text())["state"] == STOPPED
    wrong = continues(tmp_path / "trial", pair)
    assert wrong is None, wrong
    tally(number.name, f"pair, {stage}", f"exit code {ended.status}, then the same bytes")


def test_a_server_that_refuses(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    with refusing() as port:
        wrong = continues(tmp_path / "trial", pair, [*pair.arguments, *ONLINE], environment=settings(port))
    assert wrong is None, wrong
    tally("W&B server", "refuses", "ended well, the same files")
