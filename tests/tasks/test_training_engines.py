"""Trainings by the processes of an engine: the same weights and metrics, the same failures, and deaths."""

import hashlib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sat_exp import tracking
from sat_exp.engine import Local
from sat_exp.engine.processes import Processes
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import Recipe
from sat_exp.modules.training_images import Source
from sat_exp.settings.targets import allowing
from sat_exp.tasks.train import Variant, job
from sat_exp.tasks.training import Trainings

EPOCHS, STEPS = 3, 4

NETWORK = '''
"""A network that notes each step of its training, and whose process dies once, at the step `dies`."""

import os
import signal
from pathlib import Path

from torch import nn


class Net(nn.Module):
    def __init__(self, steps: str, dies: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(1024, 10))
        self.steps, self.dies = Path(steps), dies

    def forward(self, images):
        if self.training:
            with self.steps.open("a") as file:
                file.write(f"{os.getpid()}\\n")
            if len(self.steps.read_text().split()) == self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.layers(images)
'''


class Rows(tracking.Run):
    """A run that keeps its metrics."""

    def __init__(self, folder):
        super().__init__(None, "disabled", folder)
        self.rows = []

    def log(self, metrics, step=None):
        self.rows.append((step, {name: value for name, value in metrics.items() if not name.endswith("seconds")}))


@pytest.fixture
def noting(tmp_path, monkeypatch):
    """The package of NETWORK."""
    (tmp_path / "noting.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def train(fashion_mnist, tmp_path, noting, one_thread):
    """Trains networks called a and b by an engine, in a folder: the failures, and the rows of metrics. dies: the step
    at which the process of a dies."""
    settings = {"_target_": "sat_exp.datasets.FashionMNIST", "root": str(fashion_mnist), "size": None, "seed": 0}
    source = Source(settings | {"training_size": 100}, None, 0)
    recipe = Recipe(EPOCHS, 0, 25, seed=0, optimizer="adamw", learning_rate=0.01, weight_decay=0.05, shift=1)

    def run(engine, folder, *, dies=0, label_space="fashion_mnist"):
        jobs = []
        for name in "ab":
            steps = {"steps": str(tmp_path / f"{folder}_{name}"), "dies": dies * (name == "a")}
            facts = {"name": name, "family": "F", "classes": 10, "checkpoint": None, "pretrained": False}
            given = {"size": 32, "mean": [0.5], "std": [0.5], "interpolation": "bicubic", "crop": 1.0}
            space = label_space if name == "a" else "fashion_mnist"
            facts |= {"input": given, "label_space": space, "network": {"_target_": "noting.Net"} | steps}
            jobs.append(job(Variant(name, OmegaConf.create(facts), recipe, None), source.images.digest))
        hardware = Hardware("cpu", "32-true", batch_size=50, threads=1, workers=1)
        tracked = Rows(tmp_path)
        with allowing(["noting"]):
            failures = Trainings(tmp_path / folder, source, hardware).train(jobs, engine, tracked)
        return failures, tracked.rows

    return run


def weights(folder: Path):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.safetensors")}


def test_weights_and_metrics_are_those_of_one_process(train, tmp_path):
    """A network of a package that the user allows is one for the workers too."""
    expected = train(Local(), "alone")
    failures, rows = train(Processes(2), "shared")
    assert failures == {}
    assert weights(tmp_path / "shared") == weights(tmp_path / "alone")
    assert sorted(rows, key=str) == sorted(expected[1], key=str)
    of_b = [(step, name) for step, row in rows for name in row if name.startswith("b/")]
    assert of_b == [*((epoch, "b/main/train/loss") for epoch in range(EPOCHS)), (None, "b/test_accuracy")]
    processes = [(tmp_path / f"shared_{name}").read_text().split() for name in "ab"]
    assert len({*processes[0], *processes[1]}) == 2


def test_what_is_trained_already_is_not_given_to_workers(train, tmp_path):
    train(Local(), "alone")

    class Unused(Processes):
        def __enter__(self):
            raise AssertionError("there is no work")

    assert train(Unused(2), "alone") == ({}, [])


@pytest.mark.slow
def test_a_training_whose_process_dies_continues_after_its_last_epoch(train, tmp_path):
    train(Local(), "alone")
    assert train(Processes(1), "killed", dies=STEPS + 2)[0] == {}
    assert weights(tmp_path / "killed") == weights(tmp_path / "alone")
    steps = (tmp_path / "killed_a").read_text().split()
    assert len(steps) == EPOCHS * STEPS + 2  # two of the second epoch are done again
    assert len(set(steps)) == 2


@pytest.mark.slow
def test_a_training_that_fails_in_a_worker_is_named_and_the_other_trained(train, tmp_path):
    failures, rows = train(Processes(2), "failed", label_space="imagenet1k")
    assert [*failures] == ["a"]
    assert failures["a"].startswith("model a predicts imagenet1k, the training images have labels of fashion_mnist")
    assert [*weights(tmp_path / "failed")] == ["b.safetensors"]
    assert len(rows) == EPOCHS + 1


def test_other_images_in_a_worker_are_refused(train, tmp_path, fashion_mnist, monkeypatch):
    """As where a folder of this name on another machine has other images."""
    submit = Processes.submit

    def elsewhere(engine, piece, advance):
        for part in ("images", "labels"):
            kind = f"-{part}-idx{3 if part == 'images' else 1}-ubyte.gz"
            (fashion_mnist / f"train{kind}").write_bytes((fashion_mnist / f"t10k{kind}").read_bytes())
        return submit(engine, piece, advance)

    monkeypatch.setattr(Processes, "submit", elsewhere)
    failures, _ = train(Processes(1), "elsewhere")
    reason = "a worker finds other training images: give a folder of images that all machines share"
    assert failures == {"a": reason, "b": reason}
    assert weights(tmp_path / "elsewhere") == {}


def test_one_command_trains_by_two_processes(sat_exp, fashion_mnist, tmp_path):
    outcome = sat_exp(
        "task=train", "model=fashion_nfnet", "model.name=mine", "task.seeds=[1,2]", f"dataset.root={fashion_mnist}",
        "dataset.training_size=100", "task.epochs=1", "task.batch_size=50", f"task.directory={tmp_path}/trained",
        "hardware.threads=1", "engine=processes", "engine.workers=2",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    assert "train " in outcome.text
    assert "Epoch" not in outcome.text
    for seed in (1, 2):
        assert f"mine_seed{seed}: test accuracy" in outcome.text
    assert (tmp_path / "trained/pool/trained.yaml").is_file()
