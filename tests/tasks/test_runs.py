"""Tasks that study a finished run, from the command line, when one of its files is damaged."""

import shutil
from pathlib import Path

import pytest

from sat_exp import runs

from ..command import QUICK
from .outcomes import folder_of

POOL = ("pool=any", "pool.models=[fashion_resnet,fashion_resnet_sgd,fashion_convnext]")


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("undamaged") / "studied"


@pytest.fixture
def measured(sat_exp, outputs, undamaged) -> Path:
    """The newest run; each test may damage it."""
    if not undamaged.exists():
        outcome = sat_exp(*QUICK, "task=matrix", *POOL, "name=studied")
        assert outcome.status == 0, outcome.text
        shutil.copytree(outputs / "studied", undamaged)
    shutil.rmtree(outputs / "studied")
    shutil.copytree(undamaged, outputs / "studied")
    (outputs / "studied" / runs.SUMMARY).touch()
    return outputs / "studied"


@pytest.fixture
def reference(tmp_path) -> Path:
    (tmp_path / "reference.csv").write_text(",a,b,c\na,4.6,2,3\nb,2,4.6,3\nc,3,3,4.6\n")
    return tmp_path / "reference.csv"


@pytest.mark.parametrize("named", [True, False], ids=["named", "newest"])
@pytest.mark.parametrize("task", ["report", "compare", "analyze", "place"])
def test_a_task_names_the_damaged_file_of_the_run_it_studies(sat_exp, measured, reference, task, named):
    damaged = measured / "tables/pairs.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    of_task = {"compare": [f"reference={reference}"], "place": ["model=fashion_vit"]}.get(task, [])
    outcome = sat_exp(f"task={task}", *of_task, *([f"task.run={measured}"] * named))
    told = " ".join(outcome.text.split())
    assert outcome.status == 1, told
    assert f"error: {damaged} is damaged: run its command again: python -m sat_exp" in told
    assert "name=studied" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["tables/models.parquet", "manifest.json"])
def test_a_plan_names_a_run_that_it_cannot_use(sat_exp, measured, name):
    damaged = measured / name
    damaged.write_bytes(b"")
    outcome = sat_exp("task=plan", *POOL, "dataset=fashion_mnist", "dataset.size=100")
    assert outcome.status == 0, outcome.text
    assert f"not used for the plan: {damaged} is damaged" in " ".join(outcome.text.split())


def test_the_same_command_mends_a_damaged_run(sat_exp, measured):
    before = {name: runs.Run.open(measured).content(name) for name in runs.Run.open(measured).files}
    for name in ("manifest.json", "summary.json", "predictions.npz", "tables/models.csv"):
        (measured / name).write_bytes(b"damage")
    outcome = sat_exp(*QUICK, "task=matrix", *POOL, "name=studied")
    assert outcome.status == 0, outcome.text
    after = runs.Run.open(measured)
    timed = {name for name in before if Path(name).stem == "time"}
    assert {*after.files} | timed == {*before}
    changed = {name for name in before.keys() - timed if after.content(name) != before[name]}
    assert changed <= {"summary.json", "report.html"}, "what does not say when it was made is the same"


def test_a_study_is_drawn_again_from_what_it_studied_only(sat_exp, measured):
    pairs = runs.Run.open(measured).tables()["pairs"]
    placed = sat_exp("task=place", "model=fashion_vit", f"task.run={measured}", "hardware.threads=1")
    assert placed.status == 0, placed.text
    study = folder_of(placed)
    page, written = (study / "report.html").read_text(), (study / "summary.json").stat().st_mtime_ns
    again = sat_exp("task=report", f"task.run={study}")
    assert again.status == 0, again.text
    assert (study / "report.html").read_text() == page
    assert (study / "summary.json").stat().st_mtime_ns == written, "drawn again, it would count as the newest run"
    with runs.drafted(measured) as place:
        old = runs.Run.open(measured)
        old.copy(old.files, place)
        pairs.assign(sat=0.0).to_parquet(place / "tables/pairs.parquet")
    refused = sat_exp("task=report", f"task.run={study}")
    assert refused.status == 1
    assert f"{study} is a study of other results than {measured} holds now" in " ".join(refused.text.split())
    assert (study / "report.html").read_text() == page


def test_an_unfinished_run_is_said_to_be_one(sat_exp, measured):
    (measured / "manifest.json").unlink()
    outcome = sat_exp("task=report", f"task.run={measured}")
    assert outcome.status == 1
    assert f"{measured} is unfinished, or was made by an older version: run its command again" in outcome.text
