"""task=train by the command line: weights that load, runs that continue, pools of what was trained."""

import json

from sat_exp.modules.training import Training

from ..command import QUICK
from .outcomes import folder_of, tables


def test_training_writes_weights_that_load(sat_exp, fashion_mnist, tmp_path):
    arguments = (
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.size=40", "task.epochs=2",
        "task.batch_size=50", f"task.directory={tmp_path}/trained", "hardware.threads=1",
    )  # fmt: skip
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    record = json.loads((tmp_path / "trained/fashion_nfnet.json").read_text())
    assert record["test_accuracy"] > 0.3
    assert "trained already" in sat_exp(*arguments).text
    weights = f"model.checkpoint={tmp_path}/trained/fashion_nfnet.safetensors"
    attacked = sat_exp(*QUICK, "model=fashion_nfnet", weights)
    assert attacked.status == 0, attacked.text


def test_training_that_died_continues_at_its_last_epoch(sat_exp, fashion_mnist, tmp_path, monkeypatch):
    arguments = (
        "task=train", "model=fashion_nfnet", f"dataset.root={fashion_mnist}", "dataset.size=40", "task.epochs=3",
        "task.finishing_epochs=1", f"task.directory={tmp_path}/trained", "hardware.threads=1",
    )  # fmt: skip
    epochs: list[int] = []
    step = Training.training_step

    def dying(module, batch, index):
        epochs.append(module.current_epoch)
        if module.current_epoch == 2:
            raise RuntimeError("the power went")
        return step(module, batch, index)

    monkeypatch.setattr(Training, "training_step", dying)
    died = sat_exp(*arguments)
    assert died.status != 0
    assert "the power went" in died.text
    assert set(epochs) == {0, 1, 2}

    epochs.clear()
    monkeypatch.setattr(Training, "training_step", lambda *given: epochs.append(given[0].current_epoch) or step(*given))
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    assert epochs == sorted(epochs[: epochs.index(0)]) + [0] * epochs.count(0)
    assert set(epochs[: epochs.index(0)]) == {2}


def test_variants_of_an_architecture_are_a_pool_whose_regimes_can_be_compared(sat_exp, fashion_mnist, tmp_path):
    arguments = (
        "task=train", "model=fashion_convnext", f"dataset.root={fashion_mnist}", "dataset.training_size=600",
        "task.batch_size=50", "hardware.threads=1", f"task.directory={tmp_path}/trained", "task.seeds=[3,4]",
        "task.recipes={short:{epochs:2,finishing_epochs:0},smooth:{epochs:3,label_smoothing:0.1}}",
    )  # fmt: skip
    outcome = sat_exp(*arguments)
    assert outcome.status == 0, outcome.text
    assert f"python -m sat_exp -cd {tmp_path}/trained task=matrix pool=trained" in outcome.text
    names = [f"fashion_convnext_{recipe}_seed{seed}" for recipe in ("short", "smooth") for seed in (3, 4)]
    records = [json.loads((tmp_path / f"trained/{name}.json").read_text())["recipe"] for name in names]
    assert [record["seed"] for record in records] == [3, 4, 3, 4]
    assert [record["finishing_epochs"] for record in records] == [0, 0, 2, 2]  # as the model's file says
    assert records[2]["label_smoothing"] == 0.1
    other = sat_exp(*arguments, "model.network.dims=[16,32,64,96]")
    assert other.status == 1
    assert "is of a training with another network: give model.name=" in " ".join(other.text.split())
    pool = ("-cd", f"{tmp_path}/trained", "pool=trained", "dataset.size=40", "attack.steps=3", "hardware.threads=1")
    matrix = sat_exp(*pool, "task=matrix")
    assert matrix.status == 0, matrix.text
    assert sorted(tables(matrix)["models"].model) == sorted(names)
    models = json.loads((folder_of(matrix) / "summary.json").read_text())["models"]
    assert models[names[3]]["group"] == {"architecture": "fashion_convnext", "seed": 4, "recipe": "smooth"}


def test_a_network_that_fails_to_train_does_not_stop_the_others(sat_exp, fashion_mnist, tmp_path):
    outcome = sat_exp(
        "task=train", "pool=any", "pool.models=[resnet18,fashion_convnext]", "dataset=fashion_mnist",
        f"dataset.root={fashion_mnist}", "dataset.training_size=200", "task.epochs=1", "hardware.threads=1",
        f"task.directory={tmp_path}/trained",
    )  # fmt: skip
    assert outcome.status == 1
    told = " ".join(outcome.text.split())
    assert "not trained, as they failed: resnet18: model resnet18 predicts imagenet1k" in told
    assert (tmp_path / "trained/fashion_convnext.safetensors").is_file()
    assert not (tmp_path / "trained/pool").exists()
