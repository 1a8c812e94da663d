"""Tasks that read a run from other people: an invalid run is refused with one line, and nothing in it is executed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sat_exp import runs
from sat_exp.runs.predictions import read as read_predictions
from sat_exp.runs.predictions import write as write_predictions

from ..command import QUICK, Outcome
from ..runs.hostile import LACKING, PAIRS, SUMMARIES, Change, raw, sealed, summary, table, value

POOL = ("pool=any", "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]")
EIGHT = ("pool=any", "pool.models=[fashion_resnet*,fashion_convnext*,fashion_vit,fashion_mixer,fashion_swin]")
TASKS = {
    "report": ["task=report"],
    "compare": ["task=compare", "score.resamples=2"],
    "analyze": ["task=analyze", "task.runs=2", "task.refits=1"],
    "place": ["task=place", "model=fashion_vit", "hardware.threads=1"],
}
CHANGES = {f"summary: {name}": change for name, change in SUMMARIES.items()} | {
    f"pairs: {name}": change for name, change in PAIRS.items()
}


def matrix(sat_exp: Callable[..., Outcome], outputs: Path, name: str, pool: tuple[str, ...]) -> Path:
    if not (outputs / name / "manifest.json").exists():
        outcome = sat_exp(*QUICK, "task=matrix", *pool, f"name={name}")
        assert outcome.status == 0, outcome.text
    return outputs / name


@pytest.fixture
def measured(sat_exp, outputs):
    return matrix(sat_exp, outputs, "of_others", POOL)


@pytest.fixture
def eight(sat_exp, outputs):
    return matrix(sat_exp, outputs, "of_eight", EIGHT)


@pytest.fixture
def asked(sat_exp, tmp_path) -> Callable[[str, Path], Outcome]:
    """A task that studies the run in a folder."""
    (tmp_path / "abc.csv").write_text(
        ",fashion_resnet,fashion_resnet_sgd,fashion_convnext\nfashion_resnet,4.6,2,3\nfashion_resnet_sgd,2,4.6,3\n"
        "fashion_convnext,3,3,4.6\n"
    )

    def ask(task: str, folder: Path, *more: str) -> Outcome:
        of_task = [f"reference={tmp_path}/abc.csv"] if task == "compare" else []
        return sat_exp(*TASKS[task], *of_task, f"task.run={folder}", *more)

    return ask


def refused(outcome: Outcome, *words: str) -> None:
    """It ended in one line, which says so."""
    assert outcome.status == 1, outcome.text
    assert "Traceback" not in outcome.text
    last = outcome.text.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.isprintable()
    for word in words:
        assert word in last, last


@pytest.mark.parametrize(("task", "name"), list(zip(list(TASKS) * 99, CHANGES, strict=False)))
def test_a_run_that_is_none_is_one_line(measured, asked, tmp_path, task, name):
    folder = sealed(measured, tmp_path / "run", CHANGES[name])
    file = "summary.json" if name.startswith("summary") else "tables/pairs.parquet"
    refused(asked(task, folder), f"{folder}/{file}")


@pytest.mark.faults
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_refuses_every_run_that_is_none(measured, asked, tmp_path, task, name):
    test_a_run_that_is_none_is_one_line(measured, asked, tmp_path, task, name)
    damaged = tmp_path / "damaged"
    shutil.copytree(measured, damaged)
    CHANGES[name](damaged)
    refused(asked(task, damaged), f"{damaged}/", "is damaged: run its command again")


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("task", ["analyze", "place"])
def test_a_summary_that_lacks_what_a_task_needs_is_one_line(eight, asked, tmp_path, task, name):
    outcome = asked(task, sealed(eight, tmp_path / "run", LACKING[name]))
    if outcome.status or task == "place":
        refused(outcome)


@pytest.mark.faults
@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("task", ["report", "compare"])
def test_tasks_do_without_what_they_do_not_need(measured, asked, tmp_path, task, name):
    outcome = asked(task, sealed(measured, tmp_path / "run", LACKING[name]))
    if outcome.status:
        refused(outcome)


def test_a_plan_does_without_a_run_of_others(measured, sat_exp, outputs):
    """It names what is wrong with the run and goes on."""
    folder = sealed(measured, outputs / "a_plan_of_others", value("pairs", "sat", 9.0))
    try:
        outcome = sat_exp("task=plan", *POOL, "dataset=fashion_mnist", "dataset.size=100")
    finally:
        shutil.rmtree(folder)
    assert outcome.status == 0, outcome.text
    told = " ".join(outcome.text.split())
    assert f"not used for the plan: {folder}/tables/pairs.parquet has a bad sat: 9 is not from -4.605" in told


def of_one_half(folder: Path) -> None:
    """Half of the images have no labels and no answers."""
    path = folder / "predictions.npz"
    known = read_predictions(path.read_bytes(), path.name)
    half = {name: classes[:20] for name, classes in known.clean.items()}
    cut = {way: classes[:20] for way, classes in known.adversarial.items()}
    shown = {way: classes[:20] for way, classes in known.reference.items()}
    write_predictions(runs.Predictions(known.names, known.labels[:20], half, cut, shown), path)


def predictions(change: Callable[[runs.Predictions], runs.Predictions]) -> Change:
    def changed(folder: Path) -> None:
        write_predictions(
            change(read_predictions((folder / "predictions.npz").read_bytes(), "predictions.npz")),
            folder / "predictions.npz",
        )

    return changed


def with_names(known: runs.Predictions, names: list[str]) -> runs.Predictions:
    of = dict(zip(known.names, names, strict=True))
    return runs.Predictions(
        names, known.labels, {of[name]: classes for name, classes in known.clean.items()},
        {(of[a], of[b]): classes for (a, b), classes in known.adversarial.items()},
        {(of[a], of[b]): classes for (a, b), classes in known.reference.items()},
    )  # fmt: skip


def without_answers(known: runs.Predictions) -> runs.Predictions:
    adversarial = {way: classes * 0 - 1 if way[0] != way[1] else classes for way, classes in known.adversarial.items()}
    return runs.Predictions(known.names, known.labels, known.clean, adversarial, known.reference)


def one_way(known: runs.Predictions) -> runs.Predictions:
    left = {way: classes for way, classes in known.adversarial.items() if way[0] <= way[1]}
    return runs.Predictions(known.names, known.labels, known.clean, left, {way: known.reference[way] for way in left})


PREDICTIONS = {
    "other models": (predictions(lambda known: with_names(known, list("abcdefgh"))), "is of other models than tables"),
    "no labels": (
        predictions(lambda known: runs.Predictions(known.names, None, known.clean, known.adversarial, known.reference)),
        "has no labels",
    ),
    "no answers": (predictions(without_answers), "lacks predictions of"),
    "one way": (predictions(one_way), "has no predictions of"),
    "garbage": (raw("predictions.npz", b"PK\3\4garbage"), "holds no predictions of a run"),
}


@pytest.mark.parametrize(("change", "words"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_predictions_of_another_run_are_one_line(eight, asked, tmp_path, change, words):
    refused(asked("analyze", sealed(eight, tmp_path / "run", change)), "predictions.npz", words)


def test_a_control_of_fewer_images_than_it_says_is_one_line(eight, asked, sat_exp, outputs, tmp_path):
    noise = outputs / "noise_of_eight"
    outcome = sat_exp(*QUICK[:1], "dataset.size=40", "hardware.threads=1", "task=attack", *EIGHT, "attack=noise",
                      "attack.epsilon=24", f"name={noise.name}")  # fmt: skip
    assert outcome.status == 0, outcome.text
    refused(asked("analyze", eight, f"task.control={sealed(noise, tmp_path / 'half', of_one_half)}"), "other images")
    lacking = sealed(noise, tmp_path / "lacking", summary(attack__epsilon=...))
    refused(asked("analyze", eight, f"task.control={lacking}"), "summary.json has no attack.epsilon")


COMPONENTS = {
    "empty": (b"", "cannot be read as CSV"),
    "binary": (bytes(range(256)), "cannot be read as CSV"),
    "a model twice": (b"model,a\nx,1\nx,2\n", "has x twice"),
    "a model by both of its names": (b"model,a\nswin_tiny,1\nswin_tiny_patch4_window7_224,2\n", "has swin_tiny twice"),
    "a component twice": (b"model,a,a\nx,1,2\n", "has a twice"),
    "too many": (
        b"model," + b",".join(b"c%d" % n for n in range(101)) + b"\nx" + b",1" * 101,
        "at most 100 components",
    ),
    "what a terminal obeys": (b"model,a\nx,\x1b[2J\n", r"has '\x1b[2J' as a"),
    "a long word": (b"model,a\nx," + b"b" * 301 + b"\n", "words of at most 300 letters"),
}


@pytest.mark.parametrize(("content", "words"), COMPONENTS.values(), ids=COMPONENTS)
def test_components_that_are_none_are_one_line(eight, asked, tmp_path, content, words):
    (tmp_path / "components.csv").write_bytes(content)
    outcome = asked("analyze", eight, f"task.components={tmp_path}/components.csv")
    refused(outcome, f"{tmp_path}/components.csv", words)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["pipe", "file", "loop", "long"])
def test_what_is_no_folder_is_one_line_and_no_wait(asked, tmp_path, task, kind):
    place = tmp_path / ("a" * 300 if kind == "long" else "run")
    made = {
        "pipe": lambda: os.mkfifo(place),
        "file": place.touch,
        "loop": lambda: place.symlink_to(place),
        "long": lambda: None,
    }
    made[kind]()
    refused(asked(task, place), "run")


MARKS = "[red]a[/red] [/] [link=http://b]c[/link] :bomb: $x^2$"


def test_no_name_is_mark_up(measured, asked, tmp_path):
    """A name with what rich takes for colours, links and emoji is printed as it is written."""
    renamed = {"fashion_resnet": MARKS}

    def change(frame):
        return frame.replace({"model_a": renamed, "model_b": renamed})

    folder = sealed(measured, tmp_path / "run", table("pairs", change))
    (tmp_path / "marks.csv").write_text(
        f",{MARKS},fashion_resnet_sgd,fashion_convnext\n{MARKS},4.6,2,3\nfashion_resnet_sgd,2,4.6,3\n"
        "fashion_convnext,3,3,4.6\n"
    )
    outcome = asked("compare", folder, f"reference={tmp_path}/marks.csv")
    assert outcome.status == 0, outcome.text
    assert MARKS in " ".join(outcome.text.split())
    assert "\x1b" not in outcome.text
