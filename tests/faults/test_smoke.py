"""One trial of each kind, quick enough for every run of the tests; the others are run by `pytest -m faults`."""

import signal
from pathlib import Path
from typing import Any

from .damage import Damaging, each_kind
from .harness import Undisturbed, continues, discard, ill_said, run, seeded, start
from .servers import ONLINE, refusing, settings


def test_killed_and_continued(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    for place in ("outputs/store", "outputs/m"):
        numbers = [number for number, path in enumerate(pair.events) if path.startswith(place)]
        trial = tmp_path / place.replace("/", " ")
        ended = run(trial, pair.arguments, at=int(seeded("smoke", place).choice(numbers)))
        assert ended.status == -signal.SIGKILL
        wrong = continues(trial, pair)
        assert wrong is None, wrong
        tally("SIGKILL before an event", f"pair, {place}", "continued to the same bytes")
        discard(trial)


def test_one_of_two_is_killed(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    dying = start(tmp_path / "trial", pair.arguments, at=len(pair.repeated) // 2)
    wrong = continues(tmp_path / "trial", pair)
    assert wrong is None, wrong
    assert dying.wait().status == -signal.SIGKILL
    tally("one killed", "pair, 2 processes", "others ended well")


def test_a_damaged_chunk(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    (name,) = [name for name in each_kind(pair.folder, "outputs/store/adversarial/*/*") if not name.endswith(".json")]
    Damaging(pair, tmp_path, tally, "store").all([name], damages=("flipped", "missing"))


def test_ctrl_c(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    ended = run(tmp_path / "trial", pair.arguments, at=len(pair.events) // 2, number=signal.SIGINT)
    assert ended.status == 130
    assert ill_said(ended, signal.SIGINT) is None
    wrong = continues(tmp_path / "trial", pair)
    assert wrong is None, wrong
    tally("SIGINT", "pair", "exit code 130, then the same bytes")


def test_a_server_that_refuses(tally: Any, tmp_path: Path, pair: Undisturbed) -> None:
    with refusing() as port:
        wrong = continues(tmp_path / "trial", pair, [*pair.arguments, *ONLINE], environment=settings(port))
    assert wrong is None, wrong
    tally("W&B server", "refuses", "ended well, the same files")
