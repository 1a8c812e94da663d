"""adversarial=drop from the command line: the run's folder is that of a run that keeps, and the store is sound."""

import json

import pandas as pd
import pytest

from sat_exp.measurement import choice
from sat_exp.runs import Run

from ..command import QUICK
from .outcomes import folder_of

MATRIX = ("task=matrix", "pool=any", "pool.models=[fashion_resnet,fashion_convnext]", "hardware.batch_size=4")
TIMES = ["attack_seconds", "attack_images_per_second"]


def test_the_folder_is_that_of_a_run_that_keeps(sat_exp, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "MOST", 3)
    folders = {}
    for way in ("keep", "drop"):
        outcome = sat_exp(*QUICK, *MATRIX, f"adversarial={way}", f"store={tmp_path / way}")
        assert outcome.status == 0, outcome.text
        folders[way] = folder_of(outcome)
    kept, dropped = (Run.open(folder) for folder in folders.values())
    assert kept.tables().keys() == dropped.tables().keys()
    for name, table in kept.tables().items():
        if name != "time":
            expected, found = (each.drop(columns=TIMES, errors="ignore") for each in (table, dropped.table(name)))
            pd.testing.assert_frame_equal(found, expected)
    pictures = {way: sorted(folder.glob("examples/*/*")) for way, folder in folders.items()}
    assert [file.read_bytes() for file in pictures["keep"]] == [file.read_bytes() for file in pictures["drop"]]
    findings = (json.loads((folder / "summary.json").read_text())["findings"] for folder in folders.values())
    assert next(findings) == next(findings)

    def stored(way):
        return len([*(tmp_path / way / "adversarial").glob("*/*.0.0.0")])

    assert 0 < stored("drop") < stored("keep") / 2
    listing = sat_exp("task=store", f"store={tmp_path / 'drop'}", "task.verify=true", "task.kind=adversarial")
    assert listing.status == 0, listing.text
    assert "others dropped" in " ".join(listing.text.split())
    assert "every file is as it was written" in listing.text


@pytest.mark.parametrize("task", ["attack", "transfer"])
def test_other_tasks_drop_too(sat_exp, tmp_path, task, monkeypatch):
    monkeypatch.setattr(choice, "MOST", 3)
    target = ("model@target=fashion_convnext",) if task == "transfer" else ()
    outcome = sat_exp(*QUICK, f"task={task}", *target, "adversarial=drop", "hardware.batch_size=4", f"store={tmp_path}")
    assert outcome.status == 0, outcome.text
    arrays = [*(tmp_path / "adversarial").iterdir()]
    assert len(arrays) == 1 + len(target)
    for array in arrays:
        assert json.loads((array / "notes.json").read_text())["attributes"]["notes"]["dropped"] is True
