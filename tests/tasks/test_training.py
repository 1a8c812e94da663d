"""Trainings in one folder that several processes share."""

import json
import logging
import os
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf

from sat_exp import models, tracking
from sat_exp.engine import Local
from sat_exp.errors import UserError
from sat_exp.modules import records
from sat_exp.modules.training import Recipe, read_checkpoint
from sat_exp.names import CONF
from sat_exp.tasks.train import variants
from sat_exp.tasks.training import Job, Trainings, changed

RECIPE = Recipe(
    epochs=1, finishing_epochs=0, batch_size=8, seed=0, optimizer="adamw", learning_rate=0.01, weight_decay=0.05
)


NUMBERS = {"test_accuracy": 0.5, "parameters": 15, "seconds": 1}


def job(name, **facts):
    return Job(name, name, OmegaConf.create({"name": "net"}), RECIPE, {"recipe": RECIPE.facts()} | facts, None)


def train(made, *jobs):
    return made.train(jobs, Local(), tracking.Run(None, "disabled", made.folder))


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Trainings that write their record without training; `done`: of which, in their order."""
    images = SimpleNamespace(training=range(8))
    made = Trainings(tmp_path, SimpleNamespace(images=images), None)

    def fit(self, job, log, *, shown):
        done.append(job.name)
        (self.folder / f"{job.file}.json").write_text(json.dumps(job.facts | NUMBERS))
        self.weights(job).touch()

    done: list[str] = []
    monkeypatch.setattr(Trainings, "fit", fit)
    return made, done


def test_what_another_process_is_at_work_on_comes_last_and_is_waited_for(trainings, tmp_path):
    made, done = trainings
    other = FileLock(tmp_path / ".a.lock", thread_local=False)
    other.acquire()
    worker = Thread(target=train, args=(made, job("a"), job("b")))
    worker.start()
    worker.join(timeout=1)
    assert done == ["b"]
    assert worker.is_alive()
    (tmp_path / "a.json").write_text(
        json.dumps(job("a").facts | NUMBERS)
    )  # what the other process does before it lets go
    (tmp_path / "a.safetensors").touch()
    other.release()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert done == ["b"]


def test_a_name_belongs_to_one_training(trainings):
    made, done = trainings
    assert train(made, job("old")) == {}
    assert train(made, job("old", images="a")) == {}  # a record that says nothing of images is no contradiction
    assert train(made, job("new", images="a")) == {}
    (reason,) = train(made, job("new", images="b")).values()
    assert reason.endswith("is of a training with another images: give model.name= or task.directory=, or remove it")
    assert done == ["old", "new"]
    made.weights(job("new")).unlink()
    assert train(made, job("new", images="a")) == {}
    assert done == ["old", "new", "new"]


def test_a_failure_is_told_and_the_others_go_on(trainings, monkeypatch):
    made, done = trainings
    fit = Trainings.fit

    def failing(self, job, log, *, shown):
        if job.name == "a":
            raise ValueError("no")
        fit(self, job, log, shown=shown)

    monkeypatch.setattr(Trainings, "fit", failing)
    assert train(made, job("a"), job("b")) == {"a": "ValueError: no"}
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
    made = Trainings(tmp_path, None, None)
    facts = (
        job("a").facts
        | NUMBERS
        | {
            records.WEIGHTS: records.write_weights(made.weights(job("a")), STATE),
        }
    )
    records.write_record(made.path(job("a")), facts)
    assert made.has(job("a"))
    return made


def flipped(content, position):
    position %= len(content)
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize("file", ["a.json", "a.safetensors"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.95, "cut", "empty"])
def test_a_damaged_training_is_named_set_aside_and_trained_again(kept, tmp_path, caplog, file, place):
    content = (tmp_path / file).read_bytes()
    damaged = {"cut": content[: len(content) // 2], "empty": b""}
    (tmp_path / file).write_bytes(damaged[place] if place in damaged else flipped(content, int(place * len(content))))
    with caplog.at_level(logging.WARNING):
        assert not kept.has(job("a"))
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
    assert kept.has(job("a"))


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


def occupied(path, how):
    path.unlink(missing_ok=True)
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("/nowhere/at/all")}[how]()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["folder", "pipe", "link"])
@pytest.mark.parametrize("file", ["a.json", "a.safetensors"])
def test_what_is_no_file_is_set_aside(kept, tmp_path, caplog, file, how):
    occupied(tmp_path / file, how)
    assert not kept.has(job("a"))
    assert f"{tmp_path / file} is damaged (it is no file): it is computed again" in caplog.text
    assert not os.path.lexists(tmp_path / file)
    records.write_weights(kept.weights(job("a")), STATE)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["folder", "link"])
def test_a_lock_that_is_no_file_is_set_aside(trainings, tmp_path, how):
    made, done = trainings
    occupied(tmp_path / ".a.lock", how)
    assert train(made, job("a")) == {}
    assert done == ["a"]


def test_a_record_without_its_numbers_is_damaged(kept, tmp_path):
    record = json.loads((tmp_path / "a.json").read_text())
    for changes in ({"seconds": "long"}, {"parameters": None}):
        (tmp_path / "a.json").write_text(json.dumps({k: v for k, v in (record | changes).items() if k in NUMBERS}))
        assert not kept.has(job("a"))
        assert not (tmp_path / "a.json").exists()


def test_where_nothing_can_be_set_aside_one_line_says_so(kept, tmp_path):
    (tmp_path / "quarantine").write_text("mine")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json is damaged .* cannot be moved to .*quarantine: File exists; move it"):
        kept.has(job("a"))
    assert (tmp_path / "quarantine").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_one_line_and_left(trainings, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match=r"cannot be a folder .* give another task.directory="):
        train(Trainings(tmp_path / "mine", None, None), job("a"))
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"text", {}, [1], {"epoch": 0}, {"epoch": 0, "state_dict": {}, "callbacks": None}]
)
def test_what_is_no_checkpoint_is_set_aside(tmp_path, content):
    path = tmp_path / "main.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert read_checkpoint(path, torch.nn.Linear(2, 3)) is None
    assert not path.exists()
    assert list((tmp_path / "quarantine").iterdir())


def test_a_checkpoint_of_another_network_is_set_aside(tmp_path):
    path, callbacks = tmp_path / "main.ckpt", {"Chance": {}}
    for size, number in ((3, 2), (2, 1)):
        torch.save({"epoch": 0, "callbacks": callbacks, "state_dict": torch.nn.Linear(size, 2).state_dict()}, path)
        assert (read_checkpoint(path, torch.nn.Linear(2, 2)) is None) == (size == 3)
        assert path.exists() == (number == 1)


BAD = {
    "epochs": (["task.epochs=0"], "task.epochs=0: give a value of 1 or more"),
    "schedule": (["task.schedule=cosin"], "task.schedule=cosin: give one of cosine"),
    "no seeds": (["task.seeds=[]"], "task.seeds=[]: give a list of 1 or more"),
    "a seed twice": (["task.seeds=[1,1]"], "two trainings are called fashion_nfnet_seed1: give each of task.seeds"),
    "a recipe's name": (["task.recipes={a/b:{}}"], "task.recipes"),
    "a long name": ([f"task.recipes={{{'a' * 190}:{{}}}}"], "give shorter names"),
    "a recipe's setting": (["task.recipes={a:{epoch:1}}"], "there is no setting task.recipes.a.epoch"),
    "a recipe's value": (
        ["task.recipes={a:{epochs:many}}"],
        "task.recipes.a.epochs='many': give a whole number",
    ),
    "a recipe that cannot be mixed": (
        ["task.recipes={a:{mixup:0.1,batch_size:7}}"],
        "batch_size=7: mixing takes images",
    ),
    "what a model's file says": (["+model.training={epochs:0}"], "fashion_nfnet: training.epochs=0: give a value of 1"),
    "nothing to train on": (
        ["dataset=foolbox20"],
        "Foolbox20 has no training images: give task.training_root=FOLDER",
    ),
    "a network that cannot be": (["+model.network.nonsense=1"], "the network could not be built"),
    "nothing learnt": (["task.learning_rate=0"], "task.learning_rate=0: give a value above 0"),
    "a folder in a file": (["task.directory=/dev/null/x"], "task.directory=/dev/null/x: give the path of a folder"),
    "an unknown setting": (["+task.epoch=3"], "there is no setting task.epoch; near it: task.epochs"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_trained_is_refused_before_an_image_is_read(sat_exp, outputs, monkeypatch, arguments, message):
    monkeypatch.setattr("sat_exp.modules.training_images.TrainingImages.of", None)
    outcome = sat_exp("task=train", "model=fashion_nfnet", "name=refused", *arguments)
    assert outcome.status == 1
    assert message in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
    assert not (outputs / "refused").exists()
    assert not (outputs / "trained").exists()


def test_a_transform_without_photographs_is_refused_before_training(sat_exp, fashion_mnist, outputs):
    outcome = sat_exp(
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.size=20", "name=refused",
        "task.recipes={plain:{},cut:{transform:{re_prob:0.2}}}",
    )  # fmt: skip
    assert outcome.status == 1
    assert "task.transform= is for photographs" in outcome.text
    assert not (outputs / "refused").exists()


def test_files_in_the_place_of_a_trainings_folders_are_set_aside_and_it_trains(sat_exp, fashion_mnist, tmp_path):
    folder = tmp_path / "trained"
    (folder / ".fashion_nfnet.lock").mkdir(parents=True)
    (folder / "checkpoints").write_text("no folder")
    (folder / "fashion_nfnet.json").mkdir()
    outcome = sat_exp(
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.training_size=100",
        "task.epochs=1", "task.batch_size=50", f"task.directory={folder}", "hardware.threads=1", "name=mended",
    )  # fmt: skip
    assert outcome.status == 0, outcome.text
    assert "Traceback" not in outcome.text
    assert records.read_record(folder / "fashion_nfnet.json")["parameters"] > 0
    aside = {path.name.rpartition(".")[0] for path in (folder / "quarantine").iterdir() if path.suffix != ".why"}
    assert aside == {".fashion_nfnet.lock", "checkpoints", "fashion_nfnet.json"}

    weights = folder / "fashion_nfnet.safetensors"
    weights.write_bytes(flipped(weights.read_bytes(), -1))
    measured = sat_exp(
        "model=fashion_nfnet", f"model.checkpoint={weights}", "dataset.size=20", "attack.steps=1", "hardware.threads=1"
    )
    assert measured.status == 1
    assert "is not the file that fashion_nfnet.json describes (its SHA-256 differs)" in " ".join(measured.text.split())
    assert "Traceback" not in measured.text
