"""A small finished run folder, an environment without W&B, and a reader of W&B's own files."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from PIL import Image

SUMMARY: dict[str, Any] = {
    "task": "matrix",
    "title": "Two models",
    "command": "python -m sat_exp task=matrix",
    "created": "2026-01-02T03:04:05+00:00",
    "settings": {"attack": {"_target_": "sat_exp.attacks.PGD", "epsilon": 16}, "seed": 7},
    "choices": {"pool": "bundled", "dataset": "fashion", "attack": "pgd"},
    "versions": {"python": "3.11.7", "torch": "2.13.0", "git_commit": "0123456789abcdef0123456789abcdef01234567"},
    "hardware": {"cpu": "some", "cores": 2, "accelerator": None},
    "timings": {"attack": 1.25, "transfer": 0.1},
    "class_names": ["shirt", "boot"],
    "attack": {"name": "pgd", "epsilon": 16, "step_size": 2, "steps": 20, "random_start": True},
    "dataset": {"name": "fashion", "images": 300, "classes": 2, "digest": "00ff"},
    "warnings": ["one"],
}


@pytest.fixture(autouse=True)
def no_wandb_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, settings or modes of whoever runs the tests."""
    for variable in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(variable)
    elsewhere = tmp_path / "no_wandb_here"
    monkeypatch.setenv("NETRC", str(elsewhere / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(elsewhere))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(elsewhere))


@pytest.fixture
def fresh_wandb() -> Iterator[None]:
    """W&B reads the environment once a process; forget what it read, before and after."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def fill() -> Callable[[Path], None]:
    return fill_run_folder


def fill_run_folder(folder: Path) -> None:
    """Tables of three models (with a missing number, and floats that need all their digits), a figure and the rest."""
    random = numpy.random.default_rng(0)
    names = ["resnet", "vit.in1k", "mixer"]
    columns = ["clean_accuracy", "clean_accuracy_low", "white_box_success", "mean_l2", "attack_seconds"]
    models = pandas.DataFrame({"model": names, "family": ["cnn", "vit", "mlp"], "images": [300, 300, 299]})
    models = models.join(pandas.DataFrame(random.random((3, len(columns))) / 3, columns=columns))
    models["weak_attack"] = [True, False, False]
    models.loc[2, "attack_seconds"] = numpy.nan
    pairs = pandas.DataFrame(
        [(a, b, random.integers(300)) for i, a in enumerate(names) for b in names[i:]],
        columns=["model_a", "model_b", "images"],
    )
    columns = ["transfer_rate_ab", "transfer_rate_ba", "sat", "sat_low"]
    pairs = pairs.join(pandas.DataFrame(random.random((len(pairs), len(columns))), columns=columns))
    pairs.loc[1, ["sat", "sat_low"]] = numpy.nan
    for name, frame in {"models": models, "pairs": pairs}.items():
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        frame.to_parquet(folder / f"tables/{name}.parquet")
        frame.to_csv(folder / f"tables/{name}.csv", index=False)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    (folder / "figures").mkdir(exist_ok=True)
    Image.fromarray(numpy.eye(8, dtype=numpy.uint8) * 255).save(folder / "figures/matrix.png")
    (folder / "report.html").write_text("<html><body>report</body></html>")
    numpy.savez(folder / "examples.npz", clean=numpy.zeros((1, 1, 8, 8), numpy.uint8))


class Server(BaseHTTPRequestHandler):
    """As much of a W&B server as `wandb.init` needs: it makes the run, and knows nothing else."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = json.loads(sent) if self.path == "/graphql" else {}
        reply: dict[str, Any] = {"data": {}}
        if "UpsertBucket" in request.get("query", ""):
            project = {"id": "cA==", "name": "sat_exp", "entity": {"id": "ZQ==", "name": "someone"}}
            bucket = {"id": "aWQ=", "name": request["variables"]["name"], "displayName": "n", "project": project}
            reply["data"]["upsertBucket"] = {"bucket": bucket, "inserted": True}
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@dataclass
class Recorded:
    """What W&B's own file of a run holds: what an upload of an offline run delivers."""

    folder: Path
    commit: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, dict[str, Path]] = field(default_factory=dict)
    exit_code: int | None = None

    def media(self, key: str) -> Path:
        """The stored file of the table, image or page last logged under `key`."""
        return next(self.folder / "files" / row[key]["path"] for row in reversed(self.history) if key in row)


@pytest.fixture
def read_log() -> Callable[[Path], Recorded]:
    return read_run_log


def read_run_log(folder: Path) -> Recorded:
    """Read the protobuf records in the .wandb file of a run's W&B folder."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # generated for each protobuf

    (log,) = folder.glob("*.wandb")
    for _ in range(200):  # W&B's service ends the file a few milliseconds after the run's finish returns
        records = [Record.FromString(payload) for payload in log_records(log.read_bytes())]
        if records and records[-1].WhichOneof("record_type") == "exit":
            break
        time.sleep(0.02)
    found = Recorded(folder)
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.commit = record.run.git.commit
            found.tags = list(record.run.tags)
            found.config.update(items(record.run.config.update))
        elif kind == "config":
            found.config.update(items(record.config.update))
        elif kind == "summary":
            found.summary.update(items(record.summary.update))
        elif kind == "history":
            found.history.append(items(record.history.item))
        elif kind == "artifact":
            contents = record.artifact.manifest.contents
            found.artifacts[record.artifact.name] = {entry.path: Path(entry.local_path) for entry in contents}
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def items(entries: Any) -> dict[str, Any]:
    """Config, summary or history entries, nested as they were logged."""
    found: dict[str, Any] = {}
    for entry in entries:
        *outer, last = entry.nested_key or [entry.key]
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(entry.value_json)
    return found


def log_records(data: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log: blocks of 32 KiB, in them chunks of checksum (4), length (2), kind (1) and payload.

    The first block begins with W&B's own 7 bytes. A record is one chunk of kind 1 (full) or chunks of kinds 2, 3…, 4.
    """
    assert data[:4] == b":W&B"
    block, position, record = 32768, 7, b""
    while position + 7 <= len(data):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        if kind == 0:
            position += block - position % block
            continue
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""
