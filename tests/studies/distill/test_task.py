"""task=distill from the command line: small trainings on a few images."""

import pandas as pd
import pytest

from sat_exp.modules.distillation import Distilling
from sat_exp.modules.training import Training

STUDENT, TEACHERS = "fashion_convnext", ("fashion_resnet", "fashion_nfnet", "fashion_mobilenet")


@pytest.fixture
def command(fashion_mnist, outputs):
    return [
        "experiment=distill_fashion", f"dataset.root={fashion_mnist}", f"task.students=[{STUDENT}]",
        f"task.teachers=[{','.join(TEACHERS)}]", "task.seeds=[0]", "task.epochs=3", "task.batch_size=50",
        "dataset.training_size=600", "dataset.size=40", "attack.steps=3", "hardware.threads=1",
        f"task.directory={outputs}/distilled",
    ]  # fmt: skip


def tables(outputs, name):
    return {path.stem: pd.read_parquet(path) for path in (outputs / name / "tables").glob("*.parquet")}


def contents(folder):
    """The bytes of weights, or of the chunks of an array."""
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix not in (".json", ".lock")]
    return {path.name: path.read_bytes() for path in files}


def test_a_study_is_trained_measured_and_written(sat_exp, command, outputs):
    outcome = sat_exp(*command, "name=whole")
    assert outcome.status == 0, outcome.text
    written = tables(outputs, "whole")
    gains = written["gains"].set_index("teacher")
    assert set(gains.index) == set(TEACHERS)
    trainings = written["trainings"].set_index("teacher")["accuracy"]
    assert trainings[""] > 0.3
    pairs = written["similarity"].set_index(["model_a", "model_b"])["sat"]
    for teacher, row in gains.iterrows():
        assert row["gain"] == pytest.approx(trainings[teacher] - trainings[""])
        assert row["sat_before"] == pairs[teacher, f"{STUDENT}_seed0"]
        assert row["sat_after"] == pairs[teacher, f"{STUDENT}_seed0_from_{teacher}"]
        assert 0.8 < row["teacher_accuracy"] < 1
    assert (outputs / "whole/figures/gain.png").is_file()
    assert "agreement of rankings made before training with the gain" in outcome.text
    page = (outputs / "whole/report.html").read_text(encoding="utf-8")
    assert "The gain of students" in page
    assert 'data-frame="rankings"' in page

    again = sat_exp(*command, "name=again")
    assert again.text.count("is trained already") == 4
    pd.testing.assert_frame_equal(tables(outputs, "again")["gains"], written["gains"])

    longer = sat_exp(*command, "name=longer", "task.teachers=[fashion_resnet]", "task.temperature=1")
    assert longer.text.count("is trained already") == 1  # the baseline has no temperature
    picked = sat_exp(*command, "name=picked", f"task.picker={outputs}/whole", "task.best=1", "task.seeds=[1]")
    assert picked.status == 0, picked.text
    ranking = picked.text.index("teachers, ranked before training")
    assert set(tables(outputs, "picked")["gains"]["teacher"]) < set(TEACHERS)
    assert len(tables(outputs, "picked")["gains"]) == 1
    ranked = tables(outputs, "picked")["picked"]
    assert set(ranked["teacher"]) == set(TEACHERS)
    assert ranked.set_index("rank")["gain"].notna().tolist() == [True, False, False]
    assert ranking < picked.text.index("_from_")


def test_one_training_that_fails_does_not_stop_the_rest_and_is_tried_again(sat_exp, command, outputs, monkeypatch):
    command = [*command, "task.seeds=[2]", "task.epochs=2"]
    step = Training.training_step

    def dying(module, batch, index):
        if isinstance(module, Distilling) and module.teacher[0].network.__class__.__name__ == "NormFreeNet":
            raise RuntimeError("the power went")
        return step(module, batch, index)

    monkeypatch.setattr(Training, "training_step", dying)
    outcome = sat_exp(*command, "name=failed")
    assert outcome.status == 1
    printed = " ".join(outcome.text.split())
    assert f"not in the results, as they failed: {STUDENT}_seed2_from_fashion_nfnet: RuntimeError: the power" in printed
    written = tables(outputs, "failed")
    assert set(written["gains"]["teacher"]) == set(TEACHERS) - {"fashion_nfnet"}
    assert written["failures"]["model"].tolist() == [f"{STUDENT}_seed2_from_fashion_nfnet"]

    monkeypatch.setattr(Training, "training_step", step)
    repeated = sat_exp(*command, "name=failed")
    assert repeated.status == 0, repeated.text
    assert repeated.text.count("is trained already") == 3
    assert set(tables(outputs, "failed")["gains"]["teacher"]) == set(TEACHERS)


@pytest.mark.slow
def test_two_processes_train_the_same_networks(sat_exp, command, outputs):
    """What the teachers say is computed by the workers, once, and stored."""
    command = [*command, f"task.teachers=[{','.join(TEACHERS[:2])}]", "task.epochs=1", "dataset.training_size=300"]
    stored = {*(outputs / "store/logits").glob("*")}
    shared = sat_exp(*command, "engine=processes", "engine.workers=2", f"task.directory={outputs}/shared", "name=two")
    assert shared.status == 0, shared.text
    assert shared.text.count("test accuracy") >= 3
    assert "Epoch" not in shared.text
    from_teachers = {*(outputs / "store/logits").glob("*")} - stored
    assert len(from_teachers) >= 2
    alone = sat_exp(*command, f"store={outputs}/alone/store", f"task.directory={outputs}/alone", "name=one")
    assert alone.status == 0, alone.text
    weights = contents(outputs / "shared")
    assert len(weights) == 3
    assert contents(outputs / "alone") == weights
    pd.testing.assert_frame_equal(tables(outputs, "two")["gains"], tables(outputs, "one")["gains"])
    for path in from_teachers:
        assert contents(path) == contents(outputs / "alone/store/logits" / path.name) != {}


def test_photographs_of_a_folder_with_timms_augmentation_are_training_images_too(sat_exp, fashion_mnist, tmp_path):
    from PIL import Image

    from sat_exp.datasets import FashionMNIST

    images = FashionMNIST(str(fashion_mnist), 300, 0).images
    for index in range(200):
        part = tmp_path / ("train" if index < 150 else "val") / images.class_names[images.labels[index]].split("/")[0]
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.read(index)[0]).save(part / f"{index}.png")
    outcome = sat_exp(
        "task=distill", f"task.students=[{STUDENT}]", "task.teachers=[fashion_resnet]", "dataset=folder",
        f"dataset.root={tmp_path}/val", f"task.training_root={tmp_path}/train", "dataset.mode=L", "dataset.resize=32",
        "dataset.crop=32", "dataset.label_space=fashion_mnist", "task.epochs=1", "task.batch_size=50", "attack.steps=1",
        "task.transform={scale:[0.8,1.0],color_jitter:null}", "task.mixup=0.2", "task.average=0.9", "labels=own",
        "hardware.threads=1", "hardware.workers=1", "name=photographs", "task.schedule=cosine",
    )  # fmt: skip
    printed = " ".join(outcome.text.split())
    assert f"{STUDENT}_seed0_from_fashion_resnet: test accuracy" in printed, outcome.text


BAD = {
    "seeds": (["task.seeds=[0,0]"], "task.seeds=[0, 0]: give each once"),
    "another world": (
        ["task.teachers=[resnet18]"],
        "resnet18 predicts imagenet1k, fashion_convnext predicts fashion_mnist",
    ),
    "no teachers": (["task.teachers=[]"], "task.teachers=[]: give a list of 1 or more"),
    "a teacher called like a student": (
        ["task.teachers=[fashion_convnext_seed1]", "task.seeds=[1]"],
        "fashion_convnext_seed1 is both a teacher and a trained student",
    ),
    "the best of no ranking": (["task.best=2"], "task.best=2 needs a ranking of teachers: give task.picker=FOLDER"),
    "too few images": (["task.batch_size=700"], "batch_size=700: there are 600 training images, give fewer"),
    "weight": (["task.weight=2"], "task.weight=2: give a value of 1 or less"),
    "optimizer": (["task.optimizer=adamww"], "optimizer=adamww: give one of timm's"),
    "picker": (["task.picker=/no/such/study"], "task.picker=/no/such/study: give the path of"),
    "an unknown teacher": (["task.teachers=[fashion_resnt]"], "did you mean fashion_resnet"),
    "a teacher without its weights": (
        ["model@target=fashion_resnet", "task.teachers=[vit_tini]"],
        "no model 'vit_tini'",
    ),
    "mixing an odd batch": (["task.mixup=0.1", "task.batch_size=51"], "batch_size=51: mixing takes images in pairs"),
    "a name that is no setting": (["+task.epoch=3"], "there is no setting task.epoch; near it: task.epochs"),
    "nothing to train on": (["dataset.root=null"], "give dataset.root=FOLDER with the four Fashion-MNIST files"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(sat_exp, command, arguments, message):
    outcome = sat_exp(*command, *arguments)
    assert outcome.status == 1
    assert message in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
