"""A small study, its undisturbed results, and processes that repeat it."""

import multiprocessing
import runpy
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sat_exp.engine.processes import Processes
from sat_exp.measurement import Measured

STUDY = Path(__file__).with_name("small_study.py")


@pytest.fixture(scope="session")
def study() -> Any:
    """The names in small_study.py."""
    return SimpleNamespace(**runpy.run_path(str(STUDY)))


@pytest.fixture(autouse=True)
def same_bits(one_thread: None) -> None:
    """Every test here compares bits."""


@dataclass(frozen=True)
class Undisturbed:
    """A measurement that nothing interrupted, and the SHA-256 of every chunk it stored."""

    folder: Path
    measured: Measured
    chunks: dict[str, str]


@pytest.fixture(scope="session")
def undisturbed(study: Any, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """All models of the small study, measured in one process. Copy `folder` before changing anything in it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    measured = study.measurement(folder).run(study.models())
    return Undisturbed(folder, measured, study.chunks(folder))


class Staying(Processes):
    """Processes that serve one measurement after another, because each imports the libraries for seconds."""

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture(scope="session")
def two_processes() -> Iterator[Processes]:
    """An engine whose two processes end with the tests."""
    engine = Staying(2, seconds=0.05)
    Processes.__enter__(engine)
    yield engine
    Processes.__exit__(engine)


@pytest.fixture
def ray_alone() -> list[str]:
    """Begins a command that may use Ray, which listens on outer addresses, in a network namespace of its own."""
    pytest.importorskip("ray", reason="needs the extra ray")
    alone = ["unshare", "-rn", "bash", "-c", 'ip link set lo up; exec "$0" "$@"']
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a network namespace of its own")
    return alone


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ForkServerProcess]]:
    """Starts a process that measures `names` in `folder`, with `choices` of the measurement: forked from one that has
    imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sat_exp.measurement", "sat_exp.datasets", "timm"])
    started: list[ForkServerProcess] = []

    def start_one(names: tuple[str, ...], folder: Path, gate: Path = Path("/"), **choices: Any) -> ForkServerProcess:
        arguments = {"names": names, "folder": folder, "gate": gate, "written": tmp_path / "written"} | choices
        process = context.Process(target=runpy.run_path, args=(str(STUDY), {"arguments": arguments}, "__main__"))
        process.start()
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.join()
