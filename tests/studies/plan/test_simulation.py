"""The simulation of workers: closed forms, bounds, and the pieces of a real measurement."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import sat_exp.models
from sat_exp.attacks import PGD
from sat_exp.datasets import FashionMNIST
from sat_exp.engine import Engine, Local, Piece
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm
from sat_exp.measurement import Measurement
from sat_exp.models import Configured
from sat_exp.modules.hardware import Hardware
from sat_exp.progress import Advance
from sat_exp.store import Store
from sat_exp.studies.plan.simulation import BANDWIDTH, START, Chain, Costs, Study, Workers, scaling, seconds_on

CONF = Path(__file__).parents[3] / "conf" / "model"
BUNDLED = Path(sat_exp.models.__file__).parent / "bundled"


def model(name: str = "a", load: float = 0.0, forward: float = 0.01, step: float = 0.03, attacked: int = 100) -> Costs:
    return Costs(name, 1, load, forward, step, attacked)


def study(*models: Costs, images: int = 100, steps: int = 10, batch: int = 10, size: int = 0) -> Study:
    return Study(models, images, steps, size, batch)


def test_one_process_takes_the_sum_and_loads_a_model_twice() -> None:
    models = [model("a", load=2.0), model("b", load=3.0, step=0.05)]
    expected = 2 * (2 + 3) + 2 * 100 * 0.01 + 100 * 10 * (0.03 + 0.05) + 2 * 200 * 0.01
    assert seconds_on(1, study(*models), Local()) == pytest.approx(expected)


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_equal_pieces_are_done_in_rounds(workers: int) -> None:
    chains = [Chain(model(str(number)), [[1.0]]) for number in range(6)]
    assert Workers(workers, start=4.0).do(chains) == 4.0 + -(-6 // workers)


def test_a_step_begins_when_the_last_one_has_ended() -> None:
    """The worker that was free for longest takes the next piece, here the two that must load the model."""
    chain = Chain(model(load=5.0), [[1.0], [2.0, 2.0, 3.0], [1.0]])
    assert Workers(3, start=0.0).do([chain]) == (5 + 1) + (5 + 2) + 1


def test_a_job_of_slurm_starts_and_loads_for_each_piece() -> None:
    chain = Chain(model(load=5.0), [[1.0], [2.0]])
    assert Workers(2, start=10.0, fresh=True).do([chain]) == (10 + 5 + 1) + (10 + 5 + 2)


def test_reading_the_store_takes_as_long_as_its_bytes() -> None:
    slow = study(model(forward=1e-9, step=1e-9), size=int(BANDWIDTH))
    assert seconds_on(1, slow, Local()) == pytest.approx(100 + 100 * 1 + 100 + 100)


@given(
    st.lists(st.lists(st.lists(st.floats(0.01, 9), max_size=4), min_size=1, max_size=3), min_size=1, max_size=5),
    st.integers(1, 8),
)
def test_no_schedule_beats_its_bounds(steps: Any, workers: int) -> None:
    chains = [Chain(model(str(number)), each) for number, each in enumerate(steps)]
    total = sum(sum(map(sum, chain.steps)) for chain in chains)
    longest = max(sum(max(step, default=0) for step in chain.steps) for chain in chains)
    found = Workers(workers, start=0.0).do(chains)
    assert found >= max(total / workers, longest) - 1e-9
    assert found <= total + 1e-9
    if workers == 1:
        assert found == pytest.approx(total)


def test_thirty_two_workers_are_used_well_where_pieces_are_short_compared_with_the_whole() -> None:
    steps = [0.006 * (1 + number % 7) for number in range(40)]
    models = [model(str(n), load=1.0, forward=step / 3, step=step, attacked=4000) for n, step in enumerate(steps)]
    table = scaling(study(*models, images=5000, steps=50, batch=50), Processes(), 32).set_index("workers")
    assert 0.9 < table.loc[32, "efficiency"] <= 1
    whole = scaling(study(*models, images=5000, steps=50, batch=50), Processes(seconds=1e9), 32).set_index("workers")
    assert table.loc[32, "seconds"] < whole.loc[32, "seconds"]


class Recording(Engine):
    """Does all pieces at once; records their names."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.names = seconds, []

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *error: object) -> None:
        return

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        self.names.append(piece.name)
        return Local().submit(piece, advance)


@pytest.mark.parametrize("seconds", [1e9, 0.05])
def test_the_pieces_are_those_of_a_measurement(tmp_path: Path, seconds: float) -> None:
    """Where the times of forward passes are those that the measurement finds."""
    names = ("fashion_mixer", "fashion_resmlp", "fashion_convnext")
    configs = []
    for name in names:
        loaded = OmegaConf.load(CONF / f"{name}.yaml")
        del loaded["defaults"]
        loaded.checkpoint = str(BUNDLED / f"{name}.safetensors")
        configs.append(Configured(loaded))  # type: ignore[arg-type]
    images = FashionMNIST(root=None, size=40, seed=0).images
    engine, hardware = Recording(seconds), Hardware("cpu", "32-true", batch_size=8, threads=1, workers=1)
    attack = PGD(epsilon=8, step_size=2, steps=2, random_start=True)
    measurement = Measurement(images, attack, Store.at(tmp_path), hardware, seed=0, labels="own", engine=engine)
    measured = measurement.run(configs)
    costs = [Costs(each.name, each.parameters, 0, each.image_seconds, 0, 40) for each in measured.models]
    simulated = Study(costs, 40, 2, 0, 8)
    attacks = [len(simulated.attack(cost, engine).steps[1]) for cost in costs]
    transfers = [len(simulated.transfer(cost, engine).steps[0]) for cost in costs]
    for name, parts, groups in zip(names, attacks, transfers, strict=True):
        assert sum(each.startswith(f"{name}: attack") for each in engine.names) == parts
        assert sum(each.startswith(f"{name}: predictions") for each in engine.names) == groups
    assert sum(attacks) == 3 or seconds < 1


def test_engines_know_how_their_workers_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert (Local().workers_here(), Processes().workers_here(), Processes(workers=5).workers_here()) == (1, 3, 5)
    assert (Slurm("jobs").workers_here(), Slurm("jobs").fresh, Processes().fresh) == (None, True, False)
    assert START > 0
