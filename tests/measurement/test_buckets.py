"""The same measurement with a store in a bucket: the bytes of a run in a folder, by every engine."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sat_exp.engine import Local
from sat_exp.measurement import choice
from sat_exp.store import Store, inventory

from ..buckets import chunks
from .test_engines import ENGINES, IN_PROCESSES

BY_RAY = """
import os, runpy, sys
from pathlib import Path
from sat_exp.engine.ray import Ray
tests = Path(sys.argv[1])
study = runpy.run_path(str(tests / "measurement" / "small_study.py"))
buckets = runpy.run_path(str(tests / "buckets.py"))
with buckets["served"]() as environment:
    os.environ.update(environment)
    measured = study["measurement"]("s3://study/by_ray", engine=Ray(seconds=0.2)).run(study["models"]())
    assert not measured.failures
    found = buckets["chunks"]("s3://study/by_ray")
for name, digest in found.items():
    print(name, digest)
"""


@pytest.mark.parametrize(
    ("engine", "models"), [("local", 3), *(pytest.param(*way, marks=pytest.mark.slow) for way in IN_PROCESSES)]
)
def test_the_bytes_are_those_of_a_run_in_a_folder(
    study: Any, undisturbed: Any, bucket: str, tmp_path: Path, engine: str, models: int
) -> None:
    engines = ENGINES | {"local": lambda folder: Local()}
    names = study.NAMES[:models]
    measured = study.measurement(bucket, engine=engines[engine](tmp_path)).run(study.models(names))
    assert not measured.failures
    found = chunks(bucket)
    assert found.items() <= undisturbed.chunks.items()
    for direction, classes in measured.predictions.items():
        assert np.array_equal(classes, undisturbed.measured.predictions[direction])
    if models == 3:
        assert found == undisturbed.chunks
        assert measured.warnings == undisturbed.measured.warnings


@pytest.mark.slow
def test_ray_writes_the_same_bytes(undisturbed: Any, ray_alone: list[str], pytestconfig: Any) -> None:
    command = [*ray_alone, sys.executable, "-c", BY_RAY, str(Path(__file__).parents[1])]
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


def test_images_are_dropped_from_a_bucket(
    study: Any, undisturbed: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "MOST", 3)
    measured = study.measurement(bucket, adversarial="drop").run(study.models(study.NAMES[:2]))
    for direction, classes in measured.predictions.items():
        assert np.array_equal(classes, undisturbed.measured.predictions[direction])
    found = [name for name in chunks(bucket) if name.startswith("adversarial/")]
    assert 0 < len(found) < sum(source.adversarial.chunks for source in measured.sources)
    for item in inventory.items(Store.at(bucket)):
        assert item.complete
        assert inventory.check(Store.at(bucket), item.path) == []
