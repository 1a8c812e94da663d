"""Trainings in a folder that several processes share."""

import json
from pathlib import Path
from threading import Thread

import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from sat_exp import models
from sat_exp.modules.training import Recipe
from sat_exp.names import CONF
from sat_exp.tasks.train import variants
from sat_exp.tasks.training import Job, Trainings, changed

RECIPE = Recipe(
    epochs=1, finishing_epochs=0, batch_size=8, seed=0, optimizer="adamw", learning_rate=0.01, weight_decay=0.05
)


def job(name, **facts):
    return Job(name, name, OmegaConf.create({"name": "net"}), RECIPE, {"recipe": RECIPE.facts()} | facts, None)


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Trainings that write their record without training; `done`: of which, in their order."""
    made = Trainings(tmp_path, None, None, None)

    def fit(self, job):
        done.append(job.name)
        (self.folder / f"{job.file}.json").write_text(json.dumps(job.facts))
        self.weights(job).touch()

    done: list[str] = []
    monkeypatch.setattr(Trainings, "fit", fit)
    return made, done


def test_what_another_process_is_at_work_on_comes_last_and_is_waited_for(trainings, tmp_path):
    made, done = trainings
    other = FileLock(tmp_path / ".a.lock", thread_local=False)
    other.acquire()
    worker = Thread(target=made.train, args=([job("a"), job("b")],))
    worker.start()
    worker.join(timeout=1)
    assert done == ["b"]
    assert worker.is_alive()
    (tmp_path / "a.json").write_text(json.dumps(job("a").facts))  # what the other process does before it lets go
    (tmp_path / "a.safetensors").touch()
    other.release()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert done == ["b"]


def test_a_name_belongs_to_one_training(trainings):
    made, done = trainings
    assert made.train([job("old")]) == {}
    assert made.train([job("old", images="a")]) == {}  # a record that says nothing of images is no contradiction
    assert made.train([job("new", images="a")]) == {}
    (reason,) = made.train([job("new", images="b")]).values()
    assert reason.endswith("is of a training with another images: give model.name= or task.directory=, or remove it")
    assert done == ["old", "new"]
    made.weights(job("new")).unlink()
    assert made.train([job("new", images="a")]) == {}
    assert done == ["old", "new", "new"]


def test_a_failure_is_told_and_the_others_go_on(trainings, monkeypatch):
    made, done = trainings
    fit = Trainings.fit

    def failing(self, job):
        if job.name == "a":
            raise ValueError("no")
        fit(self, job)

    monkeypatch.setattr(Trainings, "fit", failing)
    assert made.train([job("a"), job("b")]) == {"a": "ValueError: no"}
    assert done == ["b"]


def test_a_changed_model_is_another():
    model = OmegaConf.create({"name": "a", "twice": "${name}", "group": {"seed": 0}})
    found = changed(model, name="b", group={"seed": 1})
    assert (found.name, found.twice, found.group.seed) == ("b", "a", 1)
    assert (model.name, model.group.seed) == ("a", 0)


def test_the_bundled_networks_are_those_that_the_settings_of_today_would_train():
    """Else experiment=bundle would train them all again."""
    folder = Path(models.__file__).parent / "bundled"
    settings = OmegaConf.to_container(OmegaConf.load(CONF / "task/train.yaml"), resolve=False)
    recipe = {name: settings[name] for name in settings if name in Recipe.__dataclass_fields__}
    bundled = [
        OmegaConf.load(CONF / f"model/{name}.yaml") for name in OmegaConf.load(CONF / "pool/bundled.yaml").models
    ]
    for variant in variants(bundled, recipe, None, None):
        record = json.loads((folder / f"{variant.name}.json").read_text())
        assert variant.recipe.facts() == record["recipe"]
        assert variant.group is None
