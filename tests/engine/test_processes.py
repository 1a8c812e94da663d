"""Work in processes of this machine: results, progress, errors, and deaths."""

import os
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sat_exp.engine import Piece
from sat_exp.engine.processes import Processes
from sat_exp.errors import UserError
from sat_exp.progress import Advance
from sat_exp.store import Damaged

from . import work


def submit(engine: Processes, function: Any, images: int = 0, advance: Advance = lambda images: None) -> Future[Any]:
    return engine.submit(Piece("a piece", function, images), advance)


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_pieces_are_shared_by_processes_that_end_with_the_engine() -> None:
    done: list[int] = []
    with Processes(workers=2) as engine:
        futures = [submit(engine, work.process, 3, done.append) for _ in range(8)]
        numbers = {future.result() for future in futures}
    assert len(numbers) == 2
    assert os.getpid() not in numbers
    assert done == [3] * 8
    until = time.monotonic() + 10
    while any(map(alive, numbers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, numbers))


@pytest.mark.parametrize("deaths", [0, 2])
def test_a_piece_is_begun_again_where_its_process_dies(tmp_path: Path, deaths: int) -> None:
    with Processes(workers=1) as engine:
        assert submit(engine, partial(work.dying, tmp_path, deaths)).result() == deaths + 1
        assert submit(engine, work.process).result()


def test_a_piece_of_which_every_process_dies_is_given_up_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sat_exp.engine.processes.DEATHS", 3)
    with Processes(workers=1) as engine:
        futures = [submit(engine, partial(work.dying, tmp_path, 100)), submit(engine, work.process)]
        with pytest.raises(UserError, match="a piece: its process died 3 times"):
            futures[0].result()
        assert futures[1].result()
    assert len(list(tmp_path.iterdir())) == 3


def test_an_error_arrives_as_it_was_raised() -> None:
    with Processes(workers=1) as engine, pytest.raises(Damaged) as found:
        submit(engine, work.failing).result()
    assert found.value.reason == "x is damaged"
    assert str(found.value) == "x is damaged; run the same command again"


def test_each_process_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sat_exp.engine.processes.cpu_count", lambda: 8)
    with Processes(workers=2) as engine:
        assert submit(engine, work.environment).result() == ("4", None)


def test_each_process_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with Processes() as engine:
        assert [slot.environment for slot in engine.every] == [
            {"CUDA_VISIBLE_DEVICES": "4"},
            {"CUDA_VISIBLE_DEVICES": "6"},
        ]


def test_an_error_in_the_body_ends_the_workers_at_once() -> None:
    def interrupted() -> None:
        with Processes(workers=1) as engine:
            submit(engine, work.slow)
            submit(engine, work.slow)
            time.sleep(1)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - started < 20


def test_only_deaths_in_a_row_that_store_nothing_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sat_exp.engine.processes.DEATHS", 3)
    with Processes(workers=1) as engine:
        piece = Piece("a piece", partial(work.dying, tmp_path, 6), stored=lambda: len(list(tmp_path.iterdir())) // 2)
        assert engine.submit(piece, lambda images: None).result() == 7


def test_garbage_of_a_piece_is_collected_in_the_next() -> None:
    """After the first piece, loky itself searches for garbage."""
    with Processes(workers=1) as engine:
        assert [submit(engine, work.leaving).result() for _ in range(2)] == [True, True]
        assert submit(engine, work.searching).result() == 0
