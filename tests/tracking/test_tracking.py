"""Tracking: what the one W&B run of a process records, and that no fault of W&B makes a run fail."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas
import pytest

import sat_exp
from sat_exp import runs
from sat_exp.errors import UserError
from sat_exp.settings import build
from sat_exp.tracking import Tracking
from sat_exp.tracking.owner import within

from .recording import pointer, record, warnings_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def same(recorded, expected):
    """Exactly the same value; a missing number is recorded as None."""
    return recorded == expected or (recorded is None and pandas.isna(expected))


def test_offline_run_holds_every_number_of_the_tables(tmp_path, fill, read_log):
    fill(tmp_path)
    given = {"attack": {"epsilon": 16, "model": "resnet"}, "seed": 7, "root": Path("/somewhere")}
    with record(tmp_path, Tracking("offline", tags=["a"]), config=given, tags=["b", "a"]) as run:
        run.log_results(runs.Run.open(tmp_path))
    found = read_log(run.folder)

    for name in ("models", "pairs"):
        frame = pandas.read_parquet(tmp_path / f"tables/{name}.parquet")
        table = json.loads(found.media(f"tables/{name}").read_text())
        assert table["columns"] == list(frame.columns)
        assert len(table["data"]) == len(frame)
        for row, (_, expected) in zip(table["data"], frame.iterrows(), strict=True):
            assert all(same(value, wanted) for value, wanted in zip(row, expected, strict=True)), (row, expected)

    models = pandas.read_parquet(tmp_path / "tables/models.parquet")
    assert found.summary["mean/models/clean_accuracy"] == pytest.approx(models["clean_accuracy"].mean())
    pairs = pandas.read_parquet(tmp_path / "tables/pairs.parquet")
    others = pairs[pairs["model_a"] != pairs["model_b"]]
    assert found.summary["mean/pairs/sat"] == pytest.approx(others["sat"].mean())
    rates = pandas.concat([others["transfer_rate_ab"], others["transfer_rate_ba"]])
    assert found.summary["mean/pairs/transfer_rate"] == pytest.approx(rates.mean())
    assert found.summary["lowest/models/white_box_success"] == pytest.approx(models["white_box_success"].min())
    assert found.summary["seconds"] == 1.35
    assert found.summary["warnings"] == 1

    summary = json.loads((tmp_path / "summary.json").read_text())
    for key in ("choices", "versions", "hardware", "dataset", "settings", "command"):
        assert found.config[key] == summary[key]
    assert found.config["attack"] == summary["attack"] | {"model": "resnet"}
    assert found.config["seed"] == 7
    assert found.config["root"] == "/somewhere"
    assert found.tags == ["a", "b"]
    assert found.exit_code == 0


def test_offline_run_holds_figures_report_and_files(tmp_path, fill, read_log):
    fill(tmp_path)
    with record(tmp_path, config={"versions": {"git_commit": COMMIT}}) as run:
        run.log_results(runs.Run.open(tmp_path))
    found = read_log(run.folder)
    assert found.commit == COMMIT
    assert found.media("figures/matrix").read_bytes() == (tmp_path / "figures/matrix.png").read_bytes()
    assert found.media("report").read_text() == (tmp_path / "report.html").read_text()
    files = found.artifacts["matrix-quickstart"].files
    names = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    mirrored = ("tables/", "figures/", "examples/", "report.html", "summary.json")
    assert set(files) == {name for name in names if name.startswith(mirrored)}
    for name, staged in files.items():
        assert staged.is_relative_to(tmp_path / "wandb")
        assert staged.read_bytes() == (tmp_path / name).read_bytes()
    assert "WANDB_DATA_DIR" not in os.environ


def test_examples_are_images_in_the_table(tmp_path, fill, read_log):
    fill(tmp_path)
    with record(tmp_path) as run:
        run.log_results(runs.Run.open(tmp_path))
    found = read_log(run.folder)
    (files,) = [made.files for name, made in found.tables.items() if "tablesexamples" in name]
    table = json.loads(files["tables/examples.table.json"].read_text())
    (row,) = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert (row["model"], row["label"], row["known"]) == ("resnet", 1, True)
    for column, file in (("clean", "clean.png"), ("adversarial", "resnet.png")):
        assert row[column]["_type"] == "image-file"
        assert files[row[column]["path"]].read_bytes() == (tmp_path / "examples/0" / file).read_bytes()


def test_pointer_says_where_the_run_is(tmp_path):
    with record(tmp_path) as run:
        assert pointer(tmp_path)["state"] == "running"
    written = pointer(tmp_path)
    assert (written["mode"], written["state"], written["id"]) == ("offline", "finished", run.id)
    assert written["url"] is None
    assert (tmp_path / written["folder"] / f"run-{run.id}.wandb").is_file()


def test_a_second_run_in_the_same_folder_leaves_the_first_alone(tmp_path, read_log):
    with record(tmp_path) as first:
        first.log({"loss": 1.0})
    assert read_log(first.folder).exit_code == 0
    before = digests(first.folder)
    with record(tmp_path) as second:
        second.log({"loss": 2.0})
    assert second.folder != first.folder
    assert digests(first.folder) == before


def test_steps_may_start_again(tmp_path, read_log):
    rows = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    with record(tmp_path) as run:
        for model, step in rows:
            run.log({f"{model}/loss": step + 0.5}, step=step)
    history = read_log(run.folder).history
    assert [(row["step"], row[f"{model}/loss"]) for row, (model, _) in zip(history, rows, strict=True)] == [
        (0, 0.5),
        (1, 1.5),
        (0, 0.5),
        (1, 1.5),
    ]


def test_runs_open_at_once_do_not_mix(tmp_path, read_log):
    with record(tmp_path / "outer") as outer, record(tmp_path / "inner") as inner:
        outer.log({"x": 1.0})
        inner.log({"x": 2.0})
    assert [row["x"] for row in read_log(outer.folder).history] == [1.0]
    assert [row["x"] for row in read_log(inner.folder).history] == [2.0]


def test_disabled_writes_the_same_files_and_imports_no_wandb(tmp_path, fill):
    with record(tmp_path / "offline") as run:
        fill(tmp_path / "offline")
        run.log_results(runs.Run.open(tmp_path / "offline"))
    fill(tmp_path / "disabled")
    script = f"""
import sys
from pathlib import Path
from sat_exp import tracking
folder = Path({str(tmp_path / "disabled")!r})
with tracking.run(tracking.Tracking("disabled"), name="n", job_type="t", directory=folder, config={{}}) as run:
    run.log({{"x": 1.0}}, step=3)
    assert not {{"wandb", "pandas", "torch"}} & set(sys.modules)
    from sat_exp import runs
    run.log_results(runs.Run.open(folder))
assert not {{"wandb", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(sat_exp.__file__).parents[1])
    offline, disabled = digests(tmp_path / "offline"), digests(tmp_path / "disabled")
    assert pointer(tmp_path / "disabled") | {"name": ""} == {
        "mode": "disabled",
        "state": "finished",
        "name": "",
        "project": "sat_exp",
        "id": None,
        "url": None,
        "folder": None,
    }
    assert offline.pop("tracking.json") != disabled.pop("tracking.json")
    assert {name: digest for name, digest in offline.items() if not name.startswith("wandb/")} == disabled


def test_exception_of_the_body_propagates_and_closes_the_run(tmp_path, read_log):
    def body():
        with record(tmp_path) as run:
            run.log({"x": 1.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    found = read_log(tmp_path / pointer(tmp_path)["folder"])
    assert found.exit_code == 1
    assert found.history[0]["x"] == 1.0
    assert pointer(tmp_path)["state"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("computing", ["time.sleep(60)", "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"])
def test_a_signal_marks_the_run_as_stopped_in_wandb(tmp_path, read_log, number, computing):
    """In Python, where the run is left in order, and in C, where the process is ended."""
    code = (
        "import hashlib, os, signal, threading, time\n"
        "from pathlib import Path\n"
        "from sat_exp import stopping, tracking\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "stopping.ORDERLY, stopping.MARKING = 1.0, 20.0\n"
        "settings = tracking.Tracking('offline', tags=['mine'])\n"
        "with stopping.handled(), tracking.run(\n"
        "    settings, name='n', job_type='t', directory=Path('run'), config={}\n"
        ") as run:\n"
        "    run.log({'x': 1.0})\n"
        f"    threading.Timer(0.5, os.kill, (os.getpid(), {number:d})).start()\n"
        f"    {computing}\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 128 + number
    assert ended.stderr.endswith("; the same command continues\n")
    assert ended.stderr.count("\n") == 1
    assert pointer(tmp_path / "run")["state"] == "stopped"
    found = read_log(tmp_path / "run" / pointer(tmp_path / "run")["folder"])
    assert found.exit_code == 128 + number
    assert found.tags == ["mine", "stopped"]
    assert found.history[0]["x"] == 1.0


def test_waiting_is_bounded():
    with pytest.raises(TimeoutError, match="within 0"):
        within(0.1, threading.Event().wait)
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_failures_while_recording_are_one_warning(tmp_path, monkeypatch, caplog, fill):
    fill(tmp_path)

    def broken(*_, **__):
        raise OSError("pipe closed\nmore")

    with record(tmp_path) as run:
        finish = run.client.finish
        for method in ("log", "finish", "log_artifact"):
            monkeypatch.setattr(run.client, method, broken)
        run.log({"x": 1.0})
        run.log({"x": 2.0})
        run.log_results(runs.Run.open(tmp_path))
    finish()
    assert pointer(tmp_path)["state"] == "finished"
    during, at_the_end = [entry.getMessage() for entry in warnings_of(caplog)]
    assert during == "W&B could not record metrics (pipe closed); the local files are complete"
    assert at_the_end.endswith(f"wandb sync {run.folder}")


def test_failure_of_wandb_does_not_hide_the_bodys(tmp_path, monkeypatch):
    import wandb

    finish = wandb.Run.finish

    def finish_and_break(client, **arguments):
        finish(client, **arguments)
        raise OSError

    def body():
        with record(tmp_path):
            raise ZeroDivisionError

    monkeypatch.setattr(wandb.Run, "finish", finish_and_break)
    with pytest.raises(ZeroDivisionError):
        body()


def test_one_bad_file_does_not_cost_the_rest(tmp_path, caplog, fill, read_log):
    fill(tmp_path)
    (tmp_path / "figures/broken.png").write_bytes(b"not a picture")
    runs.seal(tmp_path)
    with record(tmp_path) as run:
        run.log_results(runs.Run.open(tmp_path))
    assert len(warnings_of(caplog)) == 1
    assert "figures" in warnings_of(caplog)[0].getMessage()
    found = read_log(run.folder)
    assert found.media("tables/pairs").is_file()
    assert "matrix-quickstart" in found.artifacts


def test_numbers_of_pairs_do_not_depend_on_the_order_of_names():
    from sat_exp.tracking import results

    names = [f"m{i}" for i in range(20)]
    pairs = pandas.DataFrame([(a, b, 0.2, 0.4, 0.5) for i, a in enumerate(names) for b in names[i:]])
    pairs.columns = ["model_a", "model_b", "transfer_rate_ab", "transfer_rate_ba", "sat"]
    pairs.loc[pairs["model_a"] == pairs["model_b"], "sat"] = 4.6
    pairs[["family_a", "family_b"]] = pairs[["model_a", "model_b"]].map(len)
    numbers = results.scalars({"pairs": pairs}, {})
    assert numbers["mean/pairs/sat"] == pytest.approx(0.5), "the diagonal is no pair of two models"
    swapped = pairs.rename(columns={"model_a": "model_b", "model_b": "model_a"})
    swapped[["transfer_rate_ab", "transfer_rate_ba"]] = pairs[["transfer_rate_ba", "transfer_rate_ab"]].to_numpy()
    swapped[["family_a", "family_b"]] = pairs[["family_b", "family_a"]].to_numpy()
    assert results.scalars({"pairs": swapped}, {}) == pytest.approx(numbers)


def test_a_run_has_at_most_forty_keys(tmp_path, fill, read_log):
    """Numbers, tables, figures, charts and the page: everything by which W&B sorts runs or finds a panel."""
    fill(tmp_path)
    with record(tmp_path) as run:
        run.log_results(runs.Run.open(tmp_path))
    found = read_log(run.folder)
    logged = {key for row in found.history for key in row} | set(found.summary)
    assert len([key for key in logged if not key.startswith("_")]) <= 40
    assert not [key for key in found.summary if "_ab" in key or "_ba" in key]


def test_key_numbers_of_small_tables_are_called_by_their_texts():
    from sat_exp.tracking import results

    agreement = pandas.DataFrame({"group": ["all", "all"], "measure": ["spearman", "slope"], "value": [0.5, 1]})
    agreement["pairs"] = 6
    doubled = pandas.DataFrame({"higher": ["a", "a"], "lower": ["b", "b"], "difference": [1.0, 2.0]})
    sizes = pandas.DataFrame({"size": [2, 3], "error": [0.2, 0.1], "reduction": [0.1, None]})
    long = pandas.DataFrame({"component": [f"c{i}" for i in range(56)], "importance": 1.0})
    frames = {"agreement": agreement, "regime_tests": doubled, "ensemble_sizes": sizes, "importance": long}
    assert results.scalars(frames, {}) == {
        "warnings": 0,
        "agreement/all/spearman/value": 0.5,
        "agreement/all/slope/value": 1.0,
        "ensemble_sizes/2/error": 0.2,
        "ensemble_sizes/2/reduction": 0.1,
        "ensemble_sizes/3/error": 0.1,
    }


def test_the_findings_are_the_notes_of_the_run(tmp_path, fill):
    fill(tmp_path, findings=["PGD fools all.", "That is certain."])
    with record(tmp_path) as run:
        run.log_results(runs.Run.open(tmp_path))
        assert run.client.notes == "PGD fools all.\n\nThat is certain."


def test_what_a_plan_adds_up_to_is_a_number_of_its_run():
    from sat_exp.tracking import results

    assert results.scalars({}, {"planned_seconds": {"total": 5.0}}) == {"planned/total": 5.0, "warnings": 0}


@pytest.mark.parametrize("mode", ["auto", "online", "offline", "disabled"])
def test_config_composes(mode):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(Path(sat_exp.__file__).parents[1] / "conf/tracking"), version_base="1.3"):
        settings = build(compose(mode, overrides=["tags=[x]"]), "tracking")
    assert settings == Tracking(mode, tags=["x"])


def test_unknown_mode_is_the_users_to_mend():
    with pytest.raises(UserError, match=r"^tracking.mode=onlin: give one of online, "):
        Tracking("onlin")
