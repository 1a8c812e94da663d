"""W&B without credentials, without a server, and with a server that is lost."""

import logging
import os
import sys
import time
from pathlib import Path

import pytest

from sat_exp import runs
from sat_exp.tracking import Tracking

from .recording import pointer, record, warnings_of


def test_auto_without_credentials_is_offline_and_says_how_to_sync(tmp_path, caplog, capfd):
    caplog.set_level(logging.INFO)
    with record(tmp_path, Tracking("auto")) as run:
        run.log({"x": 1.0})
    assert run.mode == "offline"
    assert [entry.getMessage() for entry in caplog.records if entry.name.startswith("sat_exp")] == [
        f"W&B: recorded offline; to upload: wandb sync {run.folder}"
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("value", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")])
def test_auto_respects_the_environment(tmp_path, monkeypatch, value, mode):
    monkeypatch.setenv("WANDB_MODE", value)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    with record(tmp_path, Tracking("auto")) as run:
        pass
    assert run.mode == pointer(tmp_path)["mode"] == mode


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_unreachable_server_falls_back_to_offline(tmp_path, monkeypatch, caplog, read_log, fresh_wandb, mode):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    started = time.monotonic()
    with record(tmp_path, Tracking(mode, connect_seconds=1.0)) as run:
        run.log({"x": 1.0})
    assert time.monotonic() - started < 8
    assert run.mode == pointer(tmp_path)["mode"] == "offline"
    assert len(warnings_of(caplog)) == 1
    assert "recording offline" in warnings_of(caplog)[0].getMessage()
    assert read_log(run.folder).history[0]["x"] == 1.0
    assert not list(tmp_path.glob("wandb/run-*")), "the attempt that failed leaves no run behind"


def test_network_lost_during_an_online_run(tmp_path, monkeypatch, caplog, server, read_log, fresh_wandb):
    address = f"127.0.0.1:{server.server_port}"
    Path(os.environ["NETRC"]).parent.mkdir()
    Path(os.environ["NETRC"]).write_text(f"machine {address} login user password {'a' * 40}\n")
    with record(tmp_path, Tracking("auto", upload_seconds=1.0)) as run:
        server.shutdown()
        server.server_close()
        run.log({"x": 1.0})
    written = pointer(tmp_path)
    assert written["mode"] == "online"
    assert written["state"] == "finished"
    assert written["url"] == f"http://{address}/someone/sat_exp/runs/{run.id}"
    (warning,) = warnings_of(caplog)
    assert warning.getMessage().endswith(f"to upload: wandb sync {run.folder}")
    assert read_log(run.folder).history[0]["x"] == 1.0


@pytest.mark.parametrize("key", [None, "too short"])
def test_online_without_usable_credentials_falls_back_to_offline(tmp_path, monkeypatch, caplog, fresh_wandb, key):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    with record(tmp_path, Tracking("online")) as run:
        pass
    assert run.mode == "offline"
    assert len(warnings_of(caplog)) == 1


def test_body_runs_without_wandb(tmp_path, monkeypatch, caplog, fill):
    fill(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with record(tmp_path) as run:
        run.log({"x": 1.0})
        run.log_results(runs.Run.open(tmp_path))
    assert run.mode == pointer(tmp_path)["mode"] == "disabled"
    assert len(warnings_of(caplog)) == 1
