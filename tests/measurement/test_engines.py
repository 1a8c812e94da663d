"""The same measurement by all engines: the same bytes, the same failures."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.engine import Engine
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm

BY_RAY = """
import runpy, sys
from pathlib import Path
from sat_exp.engine.ray import Ray
study = runpy.run_path(sys.argv[1])
measured = study["measurement"](Path(sys.argv[2]), engine=Ray(seconds=0.2)).run(study["models"]())
assert not measured.failures
"""

IN_PROCESSES = [("processes", 3), ("slurm", 1)]
"""Engines, and on how many models they are tried."""

ENGINES: dict[str, Callable[[Path], Engine]] = {
    "processes": lambda folder: Processes(2, seconds=0.2),
    "slurm": lambda folder: Slurm(str(folder / "jobs"), local=True, seconds=100),
}


@pytest.mark.parametrize(("engine", "models"), IN_PROCESSES)
def test_the_bytes_are_those_of_one_process(
    study: Any, undisturbed: Any, tmp_path: Path, engine: str, models: int
) -> None:
    names = study.NAMES[:models]
    measured = study.measurement(tmp_path / "store", engine=ENGINES[engine](tmp_path)).run(study.models(names))
    found = study.chunks(tmp_path / "store")
    assert found.items() <= undisturbed.chunks.items()
    assert not measured.failures
    for direction, classes in measured.predictions.items():
        assert np.array_equal(classes, undisturbed.measured.predictions[direction])
    if models == 3:
        assert found == undisturbed.chunks
        assert measured.warnings == undisturbed.measured.warnings


def test_ray_gives_the_same_bytes(
    study: Any, undisturbed: Any, ray_alone: list[str], tmp_path: Path, pytestconfig: Any
) -> None:
    file = Path(__file__).with_name("small_study.py")
    command = [*ray_alone, sys.executable, "-c", BY_RAY, str(file), str(tmp_path / "store")]
    subprocess.run(command, check=True, timeout=300, cwd=pytestconfig.rootpath)
    assert study.chunks(tmp_path / "store") == undisturbed.chunks


def test_work_is_divided_into_pieces_that_no_one_does_twice(
    study: Any, undisturbed: Any, tmp_path: Path, two_processes: Processes
) -> None:
    """A part of the chunks is stored already: the others are made."""
    study.measurement(tmp_path / "store").run(study.models(study.NAMES[:1]))
    before = study.chunks(tmp_path / "store")
    measured = study.measurement(tmp_path / "store", engine=two_processes).run(study.models())
    assert study.chunks(tmp_path / "store") == undisturbed.chunks
    assert before.items() <= undisturbed.chunks.items()
    assert sorted(measured.predictions) == sorted(undisturbed.measured.predictions)


def test_a_model_that_fails_in_a_worker_is_named_and_the_others_go_on(
    study: Any, undisturbed: Any, tmp_path: Path, two_processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sat_exp.measurement.scheduling"), "disabled", True)
    broken = study.model(study.NAMES[0], checkpoint=str(tmp_path / "none.safetensors"))
    models = [broken, *study.models(study.NAMES[1:])]
    measured = study.measurement(tmp_path / "store", engine=two_processes).run(models)
    assert [*measured.failures] == [study.NAMES[0]]
    assert "none.safetensors" in measured.failures[study.NAMES[0]]
    assert study.chunks(tmp_path / "store").items() < undisturbed.chunks.items()
    assert len(measured.predictions) == 4


def test_damage_that_a_worker_finds_is_mended(
    study: Any, undisturbed: Any, tmp_path: Path, two_processes: Processes
) -> None:
    store = tmp_path / "store"
    study.measurement(store).run(study.models(study.NAMES[:1]))
    chunk = next(file for file in study.parts(store) if file.parts[-3] == "adversarial")
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    measured = study.measurement(store, engine=two_processes).run(study.models())
    assert not measured.failures
    assert study.chunks(store) == undisturbed.chunks
    assert any((store / "quarantine").rglob("*.why"))
