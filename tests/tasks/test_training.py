"""Trainings in a folder that several processes share."""

import json
import logging
from pathlib import Path
from threading import Thread

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf

from sat_exp import models
from sat_exp.errors import UserError
from sat_exp.modules import records
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


STATE = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3)}


@pytest.fixture
def kept(tmp_path):
    """A training's weights and record, as a training leaves them."""
    made = Trainings(tmp_path, None, None, None)
    facts = job("a").facts | {
        "test_accuracy": 0.5,
        records.WEIGHTS: records.write_weights(made.weights(job("a")), STATE),
    }
    records.write_record(made.path(job("a")), facts)
    assert made.holds(job("a"))
    return made


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize("file", ["a.json", "a.safetensors"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.95, "cut", "empty"])
def test_a_damaged_training_is_named_set_aside_and_trained_again(kept, tmp_path, caplog, file, place):
    content = (tmp_path / file).read_bytes()
    damaged = {"cut": content[: len(content) // 2], "empty": b""}
    (tmp_path / file).write_bytes(damaged[place] if place in damaged else flipped(content, int(place * len(content))))
    with caplog.at_level(logging.WARNING):
        assert not kept.holds(job("a"))
    assert f"{tmp_path / file} is damaged" in caplog.text
    aside, why = sorted((tmp_path / "quarantine").iterdir())
    assert aside.name.startswith(file)
    assert "is damaged" in why.read_text()
    assert not (tmp_path / file).exists()


def test_weights_without_a_sound_record_are_set_aside_and_not_overwritten(kept, tmp_path):
    before = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.json").unlink()
    records.write_weights(kept.weights(job("a")), {"weight": torch.zeros(1)})
    (aside,) = (tmp_path / "quarantine").glob("a.safetensors.*[0-9]")
    assert aside.read_bytes() == before


def test_a_record_of_an_older_version_is_taken_as_it_is(kept, tmp_path):
    record = json.loads((tmp_path / "a.json").read_text())
    for fact in (records.FORMAT, records.CHECKSUM, records.WEIGHTS):
        del record[fact]
    (tmp_path / "a.json").write_text(json.dumps(record))
    assert kept.holds(job("a"))


def test_any_flipped_byte_of_a_checkpoints_contents_is_noticed(tmp_path):
    path = tmp_path / "main.ckpt"
    torch.save({"epoch": 1, "state_dict": STATE}, path)
    content = path.read_bytes()
    assert records.read_checkpoint(path)["epoch"] == 1
    unnoticed = []
    for position in range(0, len(content), 7):
        path.write_bytes(flipped(content, position))
        loaded = records.read_checkpoint(path)
        if loaded is not None:
            same = all(torch.equal(loaded["state_dict"][name], value) for name, value in STATE.items())
            unnoticed += [] if same and loaded["epoch"] == 1 else [position]
    assert unnoticed == []
    path.write_bytes(content[:-10])
    assert records.read_checkpoint(path) is None
    assert not path.exists()
    assert records.read_checkpoint(path) is None


def test_any_flipped_bit_of_a_record_is_noticed_or_changes_nothing(kept, tmp_path):
    path = tmp_path / "a.json"
    content, known = path.read_bytes(), records.read_record(path)
    for position in range(len(content)):
        for bit in (1, 16, 32):
            path.write_bytes(content[:position] + bytes([content[position] ^ bit]) + content[position + 1 :])
            assert records.read_record(path) in (None, known)


def test_a_folder_in_the_place_of_a_record_is_one_line(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match=r"a\.json: Is a directory; move it elsewhere"):
        records.read_record(tmp_path / "a.json")
