"""The artifacts that a run uses and makes: names, contents, and lineage, also in runs that are recorded offline."""

import json
import subprocess
import sys
from dataclasses import replace

import pandas
import pytest

from sat_exp import runs, tracking
from sat_exp.tracking import Tracking
from sat_exp.tracking.artifacts import label

from ..schemas import table_of


def mirror(folder, mode="offline", job_type="matrix", studied=None):
    with tracking.run(Tracking(mode), name="a run", job_type=job_type, directory=folder, config={}) as run:
        run.log_results(replace(runs.Run.open(folder), studied=studied))
    return run.folder


def study(folder, measured, name):
    """A finished study of the run, or the file, `measured`."""
    found = table_of("importance", 2, component=["stem", "norm"], importance=[0.5, 0.25], rank=[1, 2])
    with runs.drafted(folder) as place:
        runs.fill(place, {"title": "A study", "name": name, "measured": str(measured)}, {"importance": found})


def test_a_measurement_uses_data_and_makes_each_from_the_one_before(tmp_path, fill, read_log):
    fill(tmp_path)
    found = read_log(mirror(tmp_path)).artifacts
    assert {name: artifact.type for name, artifact in found.items()} == {
        "data-fashion-00ff": "data",
        "adversarial-quickstart": "adversarial",
        "predictions-quickstart": "predictions",
        "matrix-quickstart": "matrix",
    }
    assert [name for name, artifact in found.items() if artifact.used] == ["data-fashion-00ff"]
    for name, source in zip(list(found)[1:], list(found), strict=False):
        assert found[name].metadata["made_from"] == {source: found[source].digest}
    assert found["data-fashion-00ff"].metadata["digest"] == "00ff"
    assert found["matrix-quickstart"].metadata["attack"]["epsilon"] == 16


def test_no_pixels_of_the_attack_are_uploaded_but_where_they_are(tmp_path, fill, read_log):
    fill(tmp_path)
    files = read_log(mirror(tmp_path)).artifacts["adversarial-quickstart"].files
    assert set(files) == {"store.csv", "models.csv"}
    assert pandas.read_csv(files["store.csv"])["key"].tolist() == ["k0"]
    attacked = pandas.read_csv(files["models.csv"])
    assert attacked["model"].tolist() == ["resnet", "vit.in1k", "mixer"]
    assert {"white_box_success", "mean_l2"} < set(attacked)
    assert "attack_seconds" not in attacked


def test_the_same_measurement_again_is_the_same_version(tmp_path, fill, read_log):
    versions = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        fill(folder)
        versions.append({name: made.digest for name, made in read_log(mirror(folder)).artifacts.items()})
    assert versions[0] == versions[1]


def test_a_study_uses_the_very_matrix_that_the_measurement_logged(tmp_path, fill, read_log):
    run = tmp_path / "run"
    run.mkdir()
    fill(run)
    logged = read_log(mirror(run)).artifacts["matrix-quickstart"]
    study(tmp_path / "study", run, name="analyze/2026-01-02_03-04-05")
    found = read_log(mirror(tmp_path / "study", job_type="analyze", studied=runs.Run.open(run)))
    assert set(found.artifacts) == {"matrix-quickstart", "study-analyze-quickstart"}
    used = found.artifacts["matrix-quickstart"]
    assert (used.used, used.digest, used.type) == (True, logged.digest, "matrix")
    assert found.artifacts["study-analyze-quickstart"].metadata["made_from"] == {"matrix-quickstart": logged.digest}
    assert found.config["measured"] == str(run)
    assert found.summary == found.summary | {"importance/stem/importance": 0.5, "importance/norm/importance": 0.25}


def test_runs_side_by_side_use_the_matrix_of_each(tmp_path, fill, read_log):
    for name in "ab":
        fill(tmp_path / name, name=name)
    table = table_of("runs", 2, run=["a", "b"])
    with runs.drafted(tmp_path / "page") as place:
        compared = [{"run": name, "folder": str(tmp_path / name)} for name in "ab"]
        runs.fill(place, {"title": "2 runs", "name": "page", "runs": compared}, {"runs": table})
    found = read_log(mirror(tmp_path / "page", job_type="report")).artifacts
    assert [name for name, made in found.items() if made.used] == ["matrix-a", "matrix-b"]
    assert set(found["study-page"].metadata["made_from"]) == {"matrix-a", "matrix-b"}


def test_a_study_of_a_file_uses_the_file(tmp_path, read_log):
    (tmp_path / "published.csv").write_text("model,a\na,4.6\n")
    study(tmp_path / "study", tmp_path / "published.csv", name="compare/mine")
    found = read_log(mirror(tmp_path / "study", job_type="compare")).artifacts
    assert found["matrix-published"].used
    assert set(found["matrix-published"].files) == {"published.csv"}
    assert "study-compare-mine" in found


def test_a_study_of_what_is_gone_is_logged_all_the_same(tmp_path, read_log):
    study(tmp_path / "study", tmp_path / "nowhere.csv", name="analysis")
    assert set(read_log(mirror(tmp_path / "study")).artifacts) == {"study-analysis"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quickstart", "quickstart"),
        ("attack/2026-01-02_03-04-05", "attack/fashion-00ff"),
        ("sweeps/attack/attack.epsilon=2", "sweeps/attack/attack.epsilon=2"),
    ],
)
def test_labels_do_not_change_with_the_time(tmp_path, fill, name, expected):
    fill(tmp_path, name=name)
    assert label(runs.Run.open(tmp_path)) == expected


def test_long_names_differ_in_the_end_that_is_kept(tmp_path, fill, read_log):
    fill(tmp_path, name="sweeps/transfer/" + "attack.epsilon=2," * 9 + "2x1-0f26ab")
    names = list(read_log(mirror(tmp_path)).artifacts)
    assert all(len(name) <= 128 and name.endswith("2x1-0f26ab") for name in names[1:])
    assert [name.split("-")[0] for name in names] == ["data", "adversarial", "predictions", "matrix"]


def test_jobs_that_lie_together_are_a_group(tmp_path, read_log):
    groups = {}
    for name in ("alone", "sweeps/attack/epsilon=2"):
        with tracking.run(Tracking("offline"), name=name, job_type="t", directory=tmp_path / name, config={}) as run:
            pass
        groups[name] = read_log(run.folder).group
    assert groups == {"alone": "", "sweeps/attack/epsilon=2": "sweeps/attack"}
    with tracking.run(
        Tracking("offline", group="mine"), name="sweeps/attack/x", job_type="t", directory=tmp_path, config={}
    ) as run:
        pass
    assert read_log(run.folder).group == "mine"


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_the_server_is_told_what_was_used_and_what_was_made(tmp_path, monkeypatch, fill, server, fresh_wandb, mode):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    fill(tmp_path)
    recorded = mirror(tmp_path, mode)
    if mode == "offline":
        sync = [sys.executable, "-m", "wandb", "sync", str(recorded)]
        subprocess.run(sync, check=True, cwd=tmp_path, capture_output=True)
    made = [asked for operation, asked in server.asked if operation == "CreateArtifact"]
    makers = {asked["artifactCollectionName"].split("-")[0]: asked["runName"] for asked in made}
    identifier = json.loads((tmp_path / "tracking.json").read_text())["id"]
    assert makers["data"] is None, "no run makes the data"
    assert [makers[name] for name in ("adversarial", "predictions", "matrix")] == [identifier] * 3
    data = next(asked["digest"] for asked in made if asked["artifactTypeName"] == "data")
    used = [(asked["artifactID"], asked["runName"]) for operation, asked in server.asked if operation == "UseArtifact"]
    assert used == [(data, identifier)]
