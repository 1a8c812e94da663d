"""The same measurement with a store in a bucket: the bytes of a run in a folder, by every engine."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm
from sat_exp.store import Store, inventory
from sat_exp.store.store import NOT_KINDS

BY_RAY = """
import os, runpy, sys
from pathlib import Path
from sat_exp.engine.ray import Ray
tests = Path(sys.argv[1])
study = runpy.run_path(str(tests / "measurement" / "small_study.py"))
with runpy.run_path(str(tests / "buckets.py"))["served"]() as environment:
    os.environ.update(environment)
    measured = study["measurement"]("s3://study/by_ray", engine=Ray(seconds=0.2)).run(study["models"]())
    assert not measured.failures
    found = runpy.run_path(str(tests / "measurement" / "test_buckets.py"))["chunks"]("s3://study/by_ray")
for name, digest in found.items():
    print(name, digest)
"""

ENGINES: dict[str, Callable[[Path], Engine]] = {
    "local": lambda folder: Local(),
    "processes": lambda folder: Processes(2, seconds=0.2),
    "slurm": lambda folder: Slurm(str(folder / "jobs"), local=True, seconds=100),
}


def chunks(url: str) -> dict[str, str]:
    """The SHA-256 of every chunk and row of a store."""
    store = Store.at(url)
    folders = [folder for folder in store.backend.list("").folders if folder not in NOT_KINDS]
    names = [name for folder in folders for name, _ in inventory.everything_below(store, folder)]
    return {
        name: hashlib.sha256(store.backend.read(name) or b"").hexdigest()
        for name in names
        if not name.endswith(".json")
    }


@pytest.mark.parametrize(("engine", "models"), [("local", 3), ("processes", 3), ("slurm", 1)])
def test_the_bytes_are_those_of_a_run_in_a_folder(
    study: Any, undisturbed: Any, bucket: str, tmp_path: Path, engine: str, models: int
) -> None:
    names = study.NAMES[:models]
    measured = study.measurement(bucket, engine=ENGINES[engine](tmp_path)).run(study.models(names))
    assert not measured.failures
    found = chunks(bucket)
    assert found.items() <= undisturbed.chunks.items()
    for direction, classes in measured.predictions.items():
        assert np.array_equal(classes, undisturbed.measured.predictions[direction])
    if models == 3:
        assert found == undisturbed.chunks
        assert measured.warnings == undisturbed.measured.warnings


def test_ray_writes_the_same_bytes(undisturbed: Any, pytestconfig: Any) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    alone = ["unshare", "-rn", "bash", "-c", 'ip link set lo up; exec "$0" "$@"']  # Ray listens on outer addresses
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a network namespace of its own")
    command = [*alone, sys.executable, "-c", BY_RAY, str(Path(__file__).parents[1])]
    run = subprocess.run(command, check=True, timeout=300, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True)
    assert dict(line.split(" ") for line in run.stdout.splitlines()) == undisturbed.chunks


def test_a_second_run_finds_what_a_first_one_left(study: Any, undisturbed: Any, bucket: str) -> None:
    """A run of two models, then one of three, with a damaged chunk between them."""
    study.measurement(bucket).run(study.models(study.NAMES[:2]))
    before = chunks(bucket)
    damaged = next(name for name in before if name.startswith("adversarial"))
    Store.at(bucket).backend.update(damaged, lambda data: (data or b"")[:-1] + b"!")
    measured = study.measurement(bucket).run(study.models())
    assert chunks(bucket) == undisturbed.chunks
    for direction, classes in measured.predictions.items():
        assert np.array_equal(classes, undisturbed.measured.predictions[direction])
    assert [name for name, _ in inventory.quarantined(Store.at(bucket)) if damaged in name]
