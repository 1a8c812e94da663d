"""docs/wandb.md is what a run really records: each name and number on the page is read back."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sat_exp import runs
from sat_exp.tracking import Tracking, charts, results
from sat_exp.tracking.artifacts import results as results_of

from .conftest import Recorded, fill_run_folder, read_run_log

PAGE = (Path(__file__).parents[2] / "docs/wandb.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table in a section of the page, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Recorded:
    """A real measurement of three models, two of one family, recorded offline by the command."""
    folder = tmp_path_factory.mktemp("run")
    typed = ["task=matrix", "pool.models=[fashion_resnet,fashion_resnet_seed1,fashion_vit]", "dataset.size=32"]
    typed += ["attack.steps=2", "tracking=offline", "name=three", f"output_dir={folder}"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    subprocess.run(
        [sys.executable, "-m", "sat_exp", *typed], cwd=folder, env=clean, check=True, capture_output=True, timeout=300
    )
    return read_run_log(next(folder.glob("three/wandb/offline-run-*")))


def test_every_key_of_a_measurement_is_on_the_page_and_the_page_has_no_other(recorded):
    described = {
        name
        for heading in ("What a run has", "Numbers to sort runs by")
        for row in rows(heading)
        for name in names(row[0])
    }
    if_slow = {
        "efficiency",
        "figures/time",
    }  # where this takes longer than it should, the networks compute for a second
    assert described - if_slow == {key for key in recorded.summary if not key.startswith("_")} - if_slow
    assert if_slow <= described


def test_the_settings_of_tracking_are_as_stated():
    assert names(" ".join(row[0] for row in rows("Choose where a run is recorded"))) == {
        file.stem for file in (Path(__file__).parents[2] / "conf/tracking").glob("*.yaml")
    }
    assert f"within {Tracking.connect_seconds:g} seconds" in PAGE
    assert f"uploads may take {Tracking.upload_seconds:g} seconds" in PAGE
    assert (results.MOST, results.SMALL) == (40, 15), "forty and fifteen on the page"


def tooltips(part: object) -> Iterator[str]:
    """The titles of all tooltips of a specification."""
    if isinstance(part, dict):
        yield from (entry["title"] for entry in part.get("tooltip", []))
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from tooltips(inner)


def test_the_charts_show_on_hover_what_the_page_says():
    described = {row[0].strip("`"): set(row[2].split(", ")) for row in rows("Charts")}
    found = {f"charts/{name}": set(tooltips(json.loads(charts.specification(name)))) for name in charts.TITLES}
    assert described == found


def test_the_artifacts_have_the_types_on_the_page(recorded, tmp_path):
    fill_run_folder(tmp_path / "study", measured=str(tmp_path / "elsewhere"))
    fill_run_folder(tmp_path / "single")
    (tmp_path / "single/tables/pairs.parquet").unlink()
    (tmp_path / "single/tables/pairs.csv").unlink()
    runs.seal(tmp_path / "single")
    made = [results_of(runs.Run.open(tmp_path / name)) for name in ("study", "single")]
    types = {artifact.type for artifact in [*recorded.artifacts.values(), *made]}
    assert types == {name for row in rows("Artifacts") for name in names(row[0])}
    assert {artifact.type for artifact in recorded.artifacts.values() if artifact.used} == {"data"}


def test_the_dashboard_has_the_sections_on_the_page(recorded):
    pytest.importorskip("wandb_workspaces")
    from sat_exp.tracking import dashboard

    study = {"figures/importance": {}, "tables/importance": {}}
    found = dashboard.logged([(recorded.config, recorded.summary), ({"measured": "x"}, study)])
    parts = dashboard.parts(found, "someone")
    described = rows("A dashboard")
    assert [row[0] for row in described] == list(parts)
    said = {row[0]: names(row[1]) for row in described}
    assert said["Matrix"] - {"charts/matrix", "charts/plane"} <= {*recorded.summary}
    assert len(parts["Matrix"][1]) == len(said["Matrix"])
    assert len(parts["Models"][1]) == len(said["Models"])
    assert len(parts["Examples"][1]) == len(said["Examples"])
    for axis in dashboard.AXES:
        assert axis.replace("epsilon", "ε") in described[0][1]
