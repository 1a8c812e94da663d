"""A reader returns what was written, or names the damaged file. It never returns other values."""

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sat_exp import files, runs, strict_json
from sat_exp.errors import UserError
from sat_exp.runs import predictions
from sat_exp.runs.manifest import Manifest, decoded

from ..schemas import table_of
from .conftest import IMAGES, MODELS, predicted, write


def read_file(path: Path) -> runs.Predictions:
    return predictions.read(path.read_bytes(), str(path))


KINDS = [
    *("manifest.json", "summary.json", "tables/models.parquet", "tables/models.csv", "predictions.npz"),
    *("examples/0/clean.png", "figures/drawn.csv", "report.html"),
]


def everything(folder: Path) -> None:
    """Read all that a run holds."""
    run = runs.Run.open(folder)
    run.predictions()
    with run.copied(run.files):
        pass


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def in_place_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "no file": in_place_of,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_in_one_line(folder, kind, damage):
    everything(folder)
    (folder / ".hydra").mkdir()
    (folder / ".hydra/overrides.yaml").write_text("- task=matrix\n- 'pool.models=[a,b]'\n")
    DAMAGE[damage](folder / kind)
    with pytest.raises(UserError) as raised:
        everything(folder)
    told = str(raised.value)
    assert "\n" not in told
    assert str(folder if (kind, damage) == ("manifest.json", "missing") else folder / kind) in told
    assert told.endswith("run its command again: python -m sat_exp task=matrix 'pool.models=[a,b]'")
    write(folder, 2)
    everything(folder)


def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch):
    contents = files.contents

    def forbidden(path, most):
        if path.name == "pairs.parquet":
            raise PermissionError(13, "Permission denied")
        return contents(path, most)

    monkeypatch.setattr(files, "contents", forbidden)
    with pytest.raises(UserError, match=r"tables/pairs\.parquet cannot be read \(Permission denied\)"):
        runs.Run.open(folder)


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_single_byte_of_a_manifest_can_change_unnoticed(folder, data):
    raw = (folder / "manifest.json").read_bytes()
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    changed = raw[:place] + bytes([byte]) + raw[place + 1 :]
    with pytest.raises(UserError, match="manifest"):
        decoded(changed, folder / "manifest.json")


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "tables/../../secret", "tables//a", ".hydra/config.yaml"])
def test_a_manifest_names_nothing_outside_the_results(folder, name):
    whole = Manifest.read(folder)
    assert whole is not None
    (folder / "manifest.json").write_bytes(Manifest(whole.files | {name: ("0" * 64, 1)}).encoded())
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        runs.Run.open(folder)


def test_a_file_that_the_run_did_not_write_is_not_read(folder, tmp_path):
    (folder / "tables/extra.parquet").write_bytes((folder / "tables/models.parquet").read_bytes())
    run = runs.Run.open(folder)
    assert set(run.tables()) == {"models", "pairs"}
    assert run.table("extra") is None
    for name in ("tables/extra.parquet", "../run/summary.json"):
        with pytest.raises(UserError, match="is none of the run's files"):
            run.copy([name], tmp_path / "copy")


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ([], "there is no folder .*: give the folder of a finished run"),
        (["notes.txt"], "holds no run: give the folder of a finished run"),
        ([".hydra/config.yaml"], "is unfinished, or was made by an older version: run its command again"),
        (["summary.json", "tables/pairs.csv"], "is unfinished, or was made by an older version"),
    ],
)
def test_what_is_no_finished_run_is_said(tmp_path, left, message):
    for name in left:
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("")
    with pytest.raises(UserError, match=message):
        runs.Run.open(tmp_path / "run")


def test_another_format_is_said(folder):
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="of another version of sat_exp"):
        runs.Run.open(folder)


def test_a_reader_waits_for_a_writing_under_way(folder):
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    (folder / ".writing-now").mkdir()
    back = threading.Timer(0.1, lambda: (folder / "manifest.json").write_bytes(manifest))
    back.start()
    assert runs.Run.open(folder).summary == {"number": 1}


def test_what_is_read_later_is_of_the_same_writing(folder):
    run = runs.Run.open(folder)
    write(folder, 2)
    assert {int(table["images"].iloc[0]) for table in run.tables().values()} == {1}
    with pytest.raises(UserError, match="was written again while it was read: run this command again"):
        run.predictions()
    with pytest.raises(UserError, match="was written again while it was read"):
        run.content("report.html")


def test_the_same_results_written_again_are_the_same_writing(folder):
    run = runs.Run.open(folder)
    write(folder, 1)
    known = run.predictions()
    assert known is not None
    assert known.names == MODELS


def test_the_newest_run_is_the_one_that_was_written_last(tmp_path):
    for name in ("sweeps/a", "b", "c"):
        write(tmp_path / name)
        time.sleep(0.01)
    write(tmp_path / "store/no_run")
    (tmp_path / "c/manifest.json").unlink()
    assert runs.Run.newest(tmp_path, "tables/models.parquet") == [tmp_path / "b", tmp_path / "sweeps/a"]
    assert runs.Run.newest(tmp_path, "tables/other.parquet") == []
    (tmp_path / "sweeps/a/manifest.json").write_text("damage")
    (tmp_path / "b/summary.json").unlink()
    assert runs.Run.newest(tmp_path, "tables/models.parquet") == [tmp_path / "b", tmp_path / "sweeps/a"]


def test_a_study_is_of_what_the_run_held(folder, tmp_path):
    digest = runs.Run.open(folder).digest
    summary = {"measured": str(folder), "measured_digest": digest}
    with runs.drafted(tmp_path / "study") as place:
        runs.fill(place, summary, {"importance": table_of("importance")})
    study = runs.Run.open(tmp_path / "study")
    measured = study.with_studied().studied
    assert measured is not None
    assert measured.summary == {"number": 1}
    write(folder, 2)
    with pytest.raises(UserError, match=r"is a study of other results than .* holds now"):
        study.with_studied()
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="there is no folder"):
        study.with_studied()


def test_predictions_are_what_was_written(folder):
    known, written = runs.Run.open(folder).predictions(), predicted(1)
    assert known is not None
    assert known.labels is not None
    assert known.labels.tolist() == written.labels.tolist()
    assert known.adversarial.keys() == written.adversarial.keys()
    for part in ("clean", "adversarial", "reference"):
        for key, values in getattr(written, part).items():
            assert getattr(known, part)[key].tolist() == values.tolist()


def test_goals_are_stored_for_targeted_attacks_alone(tmp_path):
    known, goals = predicted(1), {name: np.arange(-1, IMAGES - 1) for name in MODELS}
    predictions.write(known, tmp_path / "plain.npz")
    predictions.write(replace(known, goals=goals), tmp_path / "targeted.npz")
    assert read_file(tmp_path / "plain.npz").goals == {}
    assert "goals" not in np.load(tmp_path / "plain.npz")
    read = read_file(tmp_path / "targeted.npz").goals
    assert {name: classes.tolist() for name, classes in read.items()} == dict.fromkeys(MODELS, goals["a"].tolist())


def test_predictions_of_models_that_attacked_nothing(tmp_path):
    clean = {name: np.arange(IMAGES, dtype=np.int32) for name in MODELS}
    predictions.write(runs.Predictions(MODELS, None, clean, {}), tmp_path / "predictions.npz")
    known = read_file(tmp_path / "predictions.npz")
    assert known.labels is None
    assert known.adversarial == {}
    assert known.clean["b"].tolist() == list(range(IMAGES))


BAD = {
    "a pickle": {"models": np.array([{"a": 1}, None, None], object)},
    "fewer images": {"adversarial": np.zeros((9, IMAGES - 1), np.int32)},
    "fewer directions": {"shown": np.zeros((8, IMAGES), np.int32)},
    "numbers with a point": {"clean": np.zeros((3, IMAGES))},
    "other labels": {"labels": np.zeros(3, int)},
    "a name twice": {"models": np.array(["a", "b", "a"])},
    "a name that a terminal obeys": {"models": np.array(["a", "b", "\x1b[31m"])},
    "names of no length": {"models": np.array(["", "b", "c"])},
    "one name": {"models": np.array("a")},
    "one number": {"clean": np.array(1)},
    "labels that are words": {"labels": np.array(["a"] * IMAGES)},
    "labels that are none": {"labels": np.full(IMAGES, np.nan)},
    "classes below 0": {"clean": np.full((3, IMAGES), -1)},
    "answers below -1": {"adversarial": np.full((9, IMAGES), -2)},
    "a direction twice": {"directions": np.array([["a", "b"]] * 9)},
    "classes that are words": {"clean": np.full((3, IMAGES), "a")},
    "complex numbers": {"clean": np.zeros((3, IMAGES), complex)},
    "goals of fewer sources": {"goals": np.zeros((2, IMAGES), np.int32)},
    "goals below -1": {"goals": np.full((3, IMAGES), -2, np.int32)},
    "goals that are words": {"goals": np.full((3, IMAGES), "a")},
    "an unknown direction": {"directions": np.array([["a", "x"]] * 9)},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_predictions_that_do_not_fit_together_are_refused(folder, changes):
    with np.load(folder / "predictions.npz") as stored:
        parts = dict(stored) | changes
    np.savez(folder / "predictions.npz", **parts)
    with pytest.raises(UserError, match=r"predictions\.npz holds no predictions of a run"):
        read_file(folder / "predictions.npz")


NUMBERS = st.none() | st.booleans() | st.integers() | st.text() | st.floats()


@settings(max_examples=50)
@given(st.recursive(NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_what_its_standard_says(value):
    """NaN and the infinities come back as null, all other values as they were."""

    def expected(part):
        if isinstance(part, dict):
            return {key: expected(item) for key, item in part.items()}
        if isinstance(part, list):
            return [expected(item) for item in part]
        return part if not isinstance(part, float) or np.isfinite(part) else None

    text = strict_json.dumps(value)
    json.loads(text, parse_constant=pytest.fail)
    assert strict_json.loads(text.encode("utf-8")) == expected(value)


def test_numbers_of_numpy_are_numbers():
    text = strict_json.dumps({"a": np.float32(0.5), "b": np.int64(3), "c": np.float64("nan"), "d": (np.bool_(True),)})
    assert json.loads(text) == {"a": 0.5, "b": 3, "c": None, "d": [True]}


@pytest.mark.parametrize("text", ['{"a": NaN}', "[Infinity]", "-Infinity", "{", ""])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match=r"is not JSON|Expect"):
        strict_json.loads(text.encode())


def test_a_summary_with_nan_is_written_as_json(tmp_path):
    with runs.drafted(tmp_path) as place:
        runs.fill(place, {"hubs": {"value": float("nan"), "most": float("inf")}}, {})
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"hubs": {"value": None, "most": None}}
