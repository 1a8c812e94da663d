"""Measurements by processes that are killed, and by several processes at the same time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def wait_for(found: Callable[[], bool], process: Any) -> None:
    """Until something is found in the store, or the process has ended."""
    until = time.monotonic() + 120
    while not found() and process.is_alive():
        assert time.monotonic() < until, "the process writes nothing"
        time.sleep(0.001)


def stored(folder: Path, kind: str = "*") -> int:
    """How many chunks are stored."""
    names = (path.name for path in folder.glob(f"{kind}/*/*"))
    return sum(name[0].isalnum() and not name.endswith((".json", ".partial", ".lock", ".db")) for name in names)


@pytest.mark.parametrize("stage", ["adversarial", "predictions"])
def test_killed_in_the_middle_and_run_again(
    study: Any, undisturbed: Any, start: Any, tmp_path: Path, stage: str
) -> None:
    store = tmp_path / "store"
    complete = sum(name.startswith(stage) for name in undisturbed.chunks)
    process = start(study.NAMES, store)
    wait_for(lambda: stored(store, stage) > 0, process)
    process.kill()
    process.join()
    assert process.exitcode == -9
    assert 0 < stored(store, stage) < complete
    assert study.chunks(store).items() < undisturbed.chunks.items()
    measured = study.measurement(store).run(study.models())
    assert study.chunks(store) == undisturbed.chunks
    for source, other in zip(measured.sources, undisturbed.measured.sources, strict=True):
        norms = {key: value for key, value in other.adversarial.notes.items() if key.startswith("mean_")}
        assert norms.items() <= source.adversarial.notes.items()


def test_killed_again_and_again(study: Any, undisturbed: Any, start: Any, tmp_path: Path) -> None:
    """Work that is killed after every few chunks still comes to an end, and nothing is done twice."""
    store, kills = tmp_path / "store", 0
    while True:
        before = stored(store)
        process = start(study.NAMES, store)
        wait_for(lambda: stored(store) >= before + 17, process)  # noqa: B023
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        kills += 1
        assert stored(store) >= before + 17
    assert kills >= 2
    assert study.chunks(store) == undisturbed.chunks
    written = [line.split()[1] for line in (tmp_path / "written").read_text().splitlines()]
    assert len(written) == len(set(written))


def test_two_processes_share_the_work(study: Any, undisturbed: Any, start: Any, tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    processes = [start(study.NAMES, store, gate), start(study.NAMES[::-1], store, gate)]
    time.sleep(0.5)
    gate.touch()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert study.chunks(store) == undisturbed.chunks
    lines = [line.split() for line in (tmp_path / "written").read_text().splitlines()]
    assert sorted(str(Path(file).relative_to(store)) for _, file in lines) == sorted(undisturbed.chunks)
    assert {int(writer) for writer, _ in lines} == {process.pid for process in processes}


def test_two_processes_mend_the_same_damage(study: Any, undisturbed: Any, start: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    study.measurement(store).run(study.models(study.NAMES[:2]))
    for file in study.parts(store)[::3]:
        file.write_bytes(file.read_bytes()[:-1])
    processes = [start(study.NAMES, store), start(study.NAMES, store)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert study.chunks(store) == undisturbed.chunks
