"""A small finished run, an environment without W&B, and a reader of W&B's files."""

import json
import os
import re
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

from sat_exp import runs

from ..schemas import table_of

SUMMARY: dict[str, Any] = {
    "task": "matrix",
    "name": "quickstart",
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
SHADES = {"clean": numpy.uint8(0), "resnet": numpy.uint8(8)}


@pytest.fixture(autouse=True)
def no_wandb_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, settings or modes of whoever runs the tests; where W&B's own service is stays for it to say."""
    for variable in [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_SERVICE"]:
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
def fill() -> Callable[..., None]:
    return fill_run_folder


def fill_run_folder(folder: Path, **summary: Any) -> None:
    """Tables of three models (with a missing number, and floats that need all their digits), a figure with its numbers,
    two examples and the rest."""
    random = numpy.random.default_rng(0)
    names = ["resnet", "vit.in1k", "mixer"]
    columns = ["clean_accuracy", "clean_accuracy_low", "white_box_success", "mean_l2", "attack_seconds"]
    known = {"model": names, "family": ["cnn", "vit", "mlp"], "images": [300, 300, 299]}
    drawn = dict(zip(columns, random.random((len(columns), 3)) / 3, strict=True))
    models = table_of("models", weak_attack=[True, False, False], **known, **drawn)
    models.loc[2, "attack_seconds"] = numpy.nan
    ways = [(a, b, random.integers(300)) for i, a in enumerate(names) for b in names[i:]]
    pair = dict(zip(["model_a", "model_b", "images"], map(list, zip(*ways, strict=True)), strict=True))
    columns = ["transfer_rate_ab", "transfer_rate_ba", "sat", "sat_low"]
    drawn = dict(zip(columns, random.random((len(columns), len(ways))), strict=True))
    pairs = table_of("pairs", len(ways), **pair, **drawn)
    pairs.loc[1, ["sat", "sat_low"]] = numpy.nan
    images = pandas.DataFrame({"id": ["i0", "i1"], "label": [0, 1], "sha256": ["aa", "bb"]})
    store = pandas.DataFrame(
        [("adversarial", "resnet PGD", "k0", 4096), ("logits", "resnet", "k1", 512)],
        columns=["kind", "name", "key", "bytes"],
    )
    files = {"clean": "examples/0/clean.png", "adversarial": "examples/0/resnet.png"}
    examples = table_of("examples", 1, model="resnet", image_id="i0", label=1, **files)
    pictures = {f"examples/0/{file}.png": numpy.full((1, 4, 4), shade) for file, shade in SHADES.items()}
    tables = {"models": models, "pairs": pairs, "images": images, "store": store, "examples": examples}
    clean = dict.fromkeys(names, numpy.zeros(2, numpy.int32))
    with runs.drafted(folder) as place:
        runs.fill(place, SUMMARY | summary, tables, pictures, runs.Predictions(names, None, clean, {}))
        (place / "figures").mkdir()
        Image.fromarray(numpy.eye(8, dtype=numpy.uint8) * 255).save(place / "figures/matrix.png")
        (place / "figures/matrix.csv").write_text("model,resnet\nresnet,4.5\nmixer,\n")
        (place / "report.html").write_text("<html><body>report</body></html>")


class Server(BaseHTTPRequestHandler):
    """As much of a W&B server as a run, its artifacts, a saved view and a report need; it has `server.runs`, keeps
    `server.views` and writes down in `server.asked` what it is asked in GraphQL."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data: dict[str, Any] = {}
        if self.path == "/graphql":
            request = json.loads(sent)
            (operation,) = re.findall(r"(?:query|mutation)\s+(\w+)", request["query"])[:1]
            variables = request.get("variables") or {}
            self.server.asked.append((operation, variables.get("input", variables)))  # type: ignore[attr-defined]
            answer = getattr(self, operation.lower(), None)
            data = answer(variables) if answer else {}
        self.reply(json.dumps({"data": data}).encode())

    do_PUT = do_POST

    def do_GET(self) -> None:
        self.reply(b"{}")

    def reply(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def upsertbucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "cA==", "name": "sat_exp", "entity": {"id": "ZQ==", "name": "someone"}}
        bucket = {"id": "aWQ=", "name": variables["name"], "displayName": "n", "project": project}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def createrunfiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.server.server_port}/file"  # type: ignore[attr-defined]
        files = [{"name": name, "uploadUrl": address} for name in variables["files"]]
        return {"createRunFiles": {"runID": "aWQ=", "uploadHeaders": [], "files": files}}

    def artifacttype(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": None}

    def createartifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        known = {"id": variables["input"]["digest"], "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": known}}

    def useartifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"useArtifact": {"artifact": {"id": variables["input"]["artifactID"]}}}

    def createcustomchart(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createCustomChart": {"chart": {"id": f"{variables['entity']}/{variables['chartName']}"}}}

    def viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        named = {"id": "VQ==", "entity": "someone", "username": "someone", "email": "", "flags": "{}"}
        return {"viewer": named | {"teams": {"edges": []}}}

    getdefaultentity = viewer

    def runs(self, variables: dict[str, Any]) -> dict[str, Any]:
        nodes = self.server.runs  # type: ignore[attr-defined]
        listed = connection([RUN | node for node in nodes])
        return {"project": {"internalId": "1", "readOnly": False, "runCount": len(nodes), "runs": listed}}

    def getprojects(self, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "cA==", "name": "sat_exp", "entityName": "someone", "createdAt": TIME, "isBenchmark": False}
        return {"models": connection([project | {"__typename": "Project", "user": None}])}

    def projectinternalid(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "cA==", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ=="}}

    def view(self, variables: dict[str, Any]) -> dict[str, Any]:
        asked = variables.get("viewType", "runs"), variables.get("viewName")
        views = self.server.views.values()  # type: ignore[attr-defined]
        found = [view for view in views if view["type"] == asked[0] and asked[1] in (None, view["name"])]
        return {"project": {"allViews": connection(found)}}

    projectviews = view

    def upsertview(self, variables: dict[str, Any]) -> dict[str, Any]:
        views = self.server.views  # type: ignore[attr-defined]
        identifier = variables.get("id") or f"view{len(views)}"
        project = {"id": "cA==", "name": "sat_exp", "entityName": "someone"}
        user = {"username": "someone", "photoUrl": "", "email": ""}
        views[identifier] = variables | {"id": identifier, "project": project, "user": user}
        views[identifier] |= {"createdAt": TIME, "updatedAt": TIME}
        return {"upsertView": {"view": views[identifier], "inserted": "id" not in variables}}

    upsertview2 = upsertview

    def log_message(self, format: str, *args: Any) -> None:
        pass


TIME = "2026-01-02T03:04:05Z"
RUN: dict[str, Any] = {"tags": [], "state": "finished", "systemMetrics": "{}", "user": {"name": "n", "username": "n"}}
RUN |= dict.fromkeys(("sweepName", "commit", "group", "jobType", "description", "notes"))
RUN |= {
    "projectId": "1",
    "readOnly": False,
    "createdAt": TIME,
    "heartbeatAt": TIME,
    "historyLineCount": 1,
    "historyKeys": {},
}


def connection(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """GraphQL's form of a list that fits on one page."""
    page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
    return {"edges": [{"node": node, "cursor": "c"} for node in nodes], "pageInfo": page}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A running server, which W&B finds by its environment; credentials it does not find."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    running.asked, running.views, running.runs = [], {}, []  # type: ignore[attr-defined]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{running.server_port}")
    yield running
    running.shutdown()
    running.server_close()


@dataclass(frozen=True)
class Artifact:
    """As it would be uploaded: files by their path in it."""

    type: str
    digest: str
    files: dict[str, Path]
    metadata: dict[str, Any]
    used: bool


@dataclass
class Recorded:
    """What W&B's own file of a run holds: what an upload of an offline run delivers."""

    folder: Path
    commit: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    tables: dict[str, Artifact] = field(default_factory=dict)
    group: str = ""
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
            found.group = record.run.run_group
            found.config.update(items(record.run.config.update))
        elif kind == "config":
            items(record.config.update, found.config)
        elif kind == "summary":
            found.summary.update(items(record.summary.update))
        elif kind == "history":
            found.history.append(items(record.history.item))
        elif kind == "artifact":
            logged = record.artifact
            files = {entry.path: Path(entry.local_path) for entry in logged.manifest.contents}
            metadata = json.loads(logged.metadata or "{}")
            place = found.tables if logged.type == "run_table" else found.artifacts
            place[logged.name] = Artifact(logged.type, logged.digest, files, metadata, logged.use_after_commit)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def items(entries: Any, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Config, summary or history entries, nested as they were logged; added to those that are `known`."""
    found: dict[str, Any] = {} if known is None else known
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
