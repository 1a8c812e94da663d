"""The simulation of several workers against closed forms, bounds, and the pieces that a real measurement submits."""

import math
import runpy
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_exp.engine import Local, Piece
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm
from sat_exp.measurement import Measured, division
from sat_exp.store.folder import Folder
from sat_exp.studies.plan import planning
from sat_exp.studies.plan.simulation import (
    BANDWIDTH,
    CHECKED,
    START,
    Costs,
    Matrix,
    Part,
    Workers,
    measured_by,
    scaling,
)

SMALL = Path(__file__).parents[2] / "measurement" / "small_study.py"

A = Costs("a", parameters=2, load=1.0, forward=0.01, step=0.03, attacked=800)
B = Costs("b", parameters=1, load=2.0, forward=0.02, step=0.05, attacked=1000)
MATRIX = Matrix([A, B], images=1000, steps=50, size=3 * 224 * 224, batch=64)

SECONDS = st.floats(0.1, 100)
CHAINS = st.lists(st.lists(st.lists(SECONDS, max_size=4), max_size=3), min_size=1, max_size=8)


def ended(chains: list[list[list[float]]], count: int) -> float:
    workers = Workers(count, 0.0)
    workers.do([[[Part("", seconds) for seconds in step] for step in chain] for chain in chains])
    return workers.ended


def test_one_process_takes_the_sum_of_all_work() -> None:
    work = 1000 * 0.03 + 50 * (800 * 0.03 + 1000 * 0.05) + 1800 * 0.03
    here = measured_by(Local(), 1, MATRIX)
    assert here.loading == A.load + B.load
    assert here.ended == pytest.approx(work + here.loading)
    assert here.waiting == pytest.approx(0)
    here = measured_by(Local(), 1, replace(MATRIX, room=0))
    assert here.loading == A.load + B.load + A.load, "the attack ends with b, and the transfer begins with it"
    assert here.ended == pytest.approx(work + here.loading)
    assert here.waiting == pytest.approx(0)


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (12, 3), (13, 3), (5, 64)])
def test_equal_pieces_are_done_in_rounds(count: int, workers: int) -> None:
    assert ended([[[2.0]]] * count, workers) == 2 * math.ceil(count / workers)


def test_the_steps_of_a_chain_follow_each_other() -> None:
    assert ended([[[1.0], [2.0, 3.0, 4.0], [5.0]]], 3) == 1 + 4 + 5


@settings(deadline=None)
@given(CHAINS, st.integers(1, 10))
def test_no_less_than_the_longest_chain_and_an_even_share_and_no_more_than_both(
    chains: list[list[list[float]]], workers: int
) -> None:
    longest = max(sum(max(step, default=0) for step in chain) for chain in chains)
    even = sum(seconds for chain in chains for step in chain for seconds in step) / workers
    found = ended(chains, workers)
    assert max(longest, even) * (1 - 1e-9) <= found <= (longest + even) * (1 + 1e-9)


def test_a_model_is_loaded_where_the_worker_holds_another_and_not_for_a_check() -> None:
    chain = [[Part("", 10, [A])], [Part("", 10)], [Part("", 10, [A])], [Part("", 10, [B])]]
    workers = Workers(1, start=5)
    workers.do([chain])
    assert (workers.starting, workers.loading, workers.ended) == (5, A.load + B.load, 5 + 40 + 3)
    jobs = Workers(1, start=5, fresh=True)
    jobs.do([chain])
    assert (jobs.starting, jobs.loading, jobs.ended) == (20, 2 * A.load + B.load, 20 + 40 + 4)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.floats(1, 1000), st.booleans())
def test_time_is_accounted_for(count: int, seconds: float, jobs: bool) -> None:
    engine = Slurm("", seconds=seconds) if jobs else Processes(seconds=seconds)
    workers = measured_by(engine, count, MATRIX)
    assert workers.waiting >= -1e-6
    check = 1800 * MATRIX.size / CHECKED  # which one process does in a thread
    assert workers.working == pytest.approx(measured_by(Local(), 1, MATRIX).working + check)
    (row,) = scaling(MATRIX, engine, [count]).to_dict("records")
    assert row["seconds"] == workers.ended
    assert 0 < row["efficiency"] <= 1 + 1e-9


def test_reading_the_store_takes_as_long_as_its_bytes() -> None:
    fast = replace(A, forward=1e-9, step=1e-9, attacked=100)
    work = measured_by(Local(), 1, Matrix([fast], images=100, steps=1, size=int(BANDWIDTH), batch=10)).working
    assert work == pytest.approx(100 + 100 + 100)


def test_thirty_two_workers_are_used_well_where_pieces_are_short_compared_with_the_whole() -> None:
    models = [
        Costs(str(number), 1, load=1.0, forward=0.002 * (1 + number % 7), step=0.006 * (1 + number % 7), attacked=4000)
        for number in range(40)
    ]
    matrix = replace(MATRIX, models=models, images=5000)
    assert scaling(matrix, Processes(), [32])["efficiency"].item() > 0.9
    assert scaling(matrix, Processes(seconds=1e9), [32])["efficiency"].item() < 0.7


def test_engines_know_how_many_workers_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert (Local().workers_here(), Processes().workers_here(), Processes(workers=5).workers_here()) == (1, 3, 5)
    assert Slurm("").workers_here() is None


def test_a_process_of_its_own_is_compared_with_processes() -> None:
    table = scaling(MATRIX, Local(), [1, 2]).set_index("workers")
    assert table.loc[1].tolist() == [measured_by(Local(), 1, MATRIX).ended, 1]
    assert table.loc[2, "seconds"] == scaling(MATRIX, Processes(), [2])["seconds"].item() > START


class Recording(Local):
    """Does the work here, in small pieces, and records their names."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds  # type: ignore[misc]
        self.names: list[str] = []

    def submit(self, piece: Piece, advance: Callable[[int], None]) -> Future[Any]:
        self.names.append(piece.name)
        return super().submit(piece, advance)


def simulated(measured: Measured, study: Any) -> Matrix:
    models = [
        Costs(source.name, source.parameters, 1.0, source.image_seconds, 1.0, len(source.rows))
        for source in measured.sources
    ]
    return Matrix(models, study.IMAGES, steps=4, size=32 * 32, batch=8)


@pytest.fixture(scope="module")
def study() -> Any:
    return SimpleNamespace(**runpy.run_path(str(SMALL)))


@pytest.mark.parametrize("seconds", [0.02, 0.1, 1000.0])
@pytest.mark.parametrize("together", [True, False])
def test_the_pieces_are_those_of_a_measurement(study: Any, tmp_path: Path, seconds: float, together: bool) -> None:
    engine = Recording(seconds)
    engine.resident = together  # type: ignore[misc]
    names = [*study.NAMES, "fashion_mixer"]
    measured = study.measurement(tmp_path, engine=engine).run(study.models(names))
    stages = simulated(measured, study).stages(engine)
    assert [part.name for chains in stages for chain in chains for step in chain for part in step] == engine.names


@pytest.mark.parametrize(("together", "room"), [(True, math.inf), (True, 0), (False, math.inf)])
def test_the_pieces_are_those_of_a_measurement_that_drops_images(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool, room: float
) -> None:
    """Single sources where all targets stay loaded; else blocks, here of two."""
    monkeypatch.setattr(division, "BLOCKS", 2)
    monkeypatch.setattr(division, "ROOM", min(room, 1))
    engine = Recording(0.1)
    engine.resident = together  # type: ignore[misc]
    names = [*study.NAMES, "fashion_mixer"]
    measured = study.measurement(tmp_path, engine=engine, adversarial="drop").run(study.models(names))
    matrix = replace(simulated(measured, study), drop=True, room=room)
    assert [len(block) for block in matrix.blocks(engine)] == ([1] * 4 if together and room else [2, 2])
    stages = matrix.stages(engine)
    assert [part.name for chains in stages for chain in chains for step in chain for part in step] == engine.names


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(0, 100))
def test_at_most_an_eighth_of_the_sources_and_the_examples_are_stored(attacked: list[int], examples: int) -> None:
    matrix = replace(MATRIX, models=[replace(A, attacked=count) for count in attacked], drop=True)
    blocks = matrix.blocks(Processes())
    assert [source for block in blocks for source in block] == matrix.models
    assert len(blocks) <= 8
    most = planning.most_stored(blocks, examples)
    assert most <= -(-len(attacked) // 8) * max(attacked) + sum(min(count, examples) for count in attacked)
    assert most >= max(sum(source.attacked for source in block) for block in blocks)
    assert planning.most_stored([matrix.models], examples) == sum(attacked)


def test_dropping_images_takes_no_time_but_that_of_loads_and_the_check() -> None:
    kept, dropped = (measured_by(Local(), 1, replace(MATRIX, drop=drop)) for drop in (False, True))
    assert dropped.loading == kept.loading
    assert dropped.working == pytest.approx(kept.working + 1800 * MATRIX.size / CHECKED)
    crowded = measured_by(Local(), 1, replace(MATRIX, drop=True, room=0))
    assert crowded.loading > dropped.loading
    assert crowded.working == pytest.approx(dropped.working)


def test_the_traffic_is_that_of_a_measurement(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    reading = Folder.read

    def counted(folder: Folder, name: str) -> bytes | None:
        data = reading(folder, name)
        if data is not None and not name.endswith(".json"):
            read.append(len(data))
        return data

    monkeypatch.setattr(Folder, "read", counted)
    study.measurement(tmp_path, labels="own").run(study.models())
    disk = planning.disk([study.IMAGES] * len(study.NAMES), study.IMAGES, (1, 32, 32), 10)
    planned = planning.traffic(disk, len(study.NAMES), groups=1)
    once_in_all = disk["images"]  # for their digest
    assert sum(read) == pytest.approx(planned["read"] + once_in_all, rel=0.05)
    stored = sum(path.stat().st_size for path in study.parts(tmp_path))
    assert stored == pytest.approx(planned["written"], rel=0.05)
