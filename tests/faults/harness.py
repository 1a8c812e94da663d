"""Processes that run the command line and start quickly, the files that they leave, and the comparison of results."""

import hashlib
import json
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CHILD = Path(__file__).with_name("child.py")
PRELOADED = [
    "sat_exp.tasks.matrix", "sat_exp.studies.distill.task", "sat_exp.tasks.train", "sat_exp.studies.analyze.task",
    "sat_exp.tasks.finished", "sat_exp.studies.place.task", "sat_exp.sweeps", "sat_exp.datasets", "timm", "seaborn",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "wandb", "hydra", "pytest",
]  # fmt: skip
PATIENCE = 180
"""Seconds that any run may take: far more than it needs, so that one that hangs is a failure."""

WORKERS = os.cpu_count() or 1
RUN = "m"

MATRIX = (
    "task=matrix", "pool=any", "pool.models=[fashion_convnext,fashion_nfnet,fashion_mixer]", "dataset=fashion_mnist",
    "dataset.size=24", "attack.steps=2", "hardware=cpu", "hardware.threads=1", "hardware.batch_size=8",
    "score.resamples=50", f"name={RUN}",
)  # fmt: skip
PAIR = tuple(part.replace(",fashion_mixer", "") for part in MATRIX)
DISTILL = (
    "experiment=distill_fashion", "task.students=[fashion_convnext]", "task.teachers=[fashion_nfnet,fashion_mixer]",
    "task.seeds=[0]", "task.epochs=3", "task.batch_size=50", "dataset.training_size=100", "dataset.size=20",
    "attack.steps=1", "hardware=cpu", "hardware.threads=1", "score.resamples=50", f"name={RUN}",
)  # fmt: skip
FINISHED, STOPPED = "finished", "stopped"
DISABLED = "tracking=disabled"
OFFLINE = "tracking=offline"


@dataclass(frozen=True)
class Start:
    """How a process is started: see child.py.

    at: the write event before which the signal `number` is sent. limit: the bytes beyond which no file grows. log: the
    file that lists write events. peak: the file that gets the largest resident size.
    """

    arguments: Sequence[str]
    folder: str
    output: str
    environment: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[str] = ()
    log: str | None = None
    at: int | None = None
    number: int = signal.SIGKILL
    limit: int | None = None
    peak: str | None = None


@dataclass(frozen=True)
class Ended:
    """status: the exit code, negative for a signal. text: what was printed, on both streams."""

    status: int
    text: str

    @property
    def last(self) -> str:
        """The last line printed."""
        lines = self.text.strip().splitlines()
        return lines[-1] if lines else ""


class Running:
    """A process that was started."""

    def __init__(self, process: ForkServerProcess, output: Path) -> None:
        self.process, self.output = process, output
        self.began = time.monotonic()

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)

    def wait(self) -> Ended:
        """Its end; AssertionError where it does not come."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"a run did not end within {PATIENCE} s: {self.read()[-2000:]}")
        return Ended(self.process.exitcode, self.read())

    def read(self) -> str:
        return self.output.read_text(errors="replace") if self.output.is_file() else ""


def start(folder: Path, arguments: Iterable[str], **settings: Any) -> Running:
    """Start `python -m sat_exp ARGUMENTS` in `folder`, W&B disabled unless they say otherwise."""
    arguments = list(arguments)
    if not any(argument.startswith("tracking=") for argument in arguments):
        arguments.append(DISABLED)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f"{folder.name}.aside"
    beside.mkdir(exist_ok=True)
    output = beside / f"{time.monotonic_ns()}.txt"
    environment = {"NETRC": str(beside / "netrc")} | {
        name: str(beside / "wandb") for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR")
    }
    environment |= settings.pop("environment", {})
    shown = os.devnull if settings.get("limit") is not None else str(output)
    begun = Start(arguments, str(folder), shown, environment, **settings)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=runpy.run_path, args=(str(CHILD), {"settings": asdict(begun)}, "__main__"))
    process.start()
    return Running(process, output)


def run(folder: Path, arguments: Iterable[str], **settings: Any) -> Ended:
    """`start`, and wait for its end."""
    return start(folder, arguments, **settings).wait()


TIMES = {"attack_seconds", "attack_images_per_second", "seconds", "checksum"}
UNEQUAL = {"created", "timings", "efficiency", "hardware", "command", "started", "finished", "duration", "git_commit"}
NOTED = {"seconds", "image_seconds", "images", "versions", "checksum"}


def left(folder: Path, runs: str = "*") -> dict[str, str]:
    """What a command left in `folder`, without what may differ between two runs of it: file → digest or content.

    runs: of which run folders, as a glob. Times of day, durations and how time was spent, W&B's own files, logs, locks,
    the quarantine and the drawn forms of a report are left out; the numbers that figures draw are in.
    """
    found: dict[str, str] = {}
    outputs = folder / "outputs"
    for file in sorted(outputs.glob("store/*/**/*")):
        part = file.relative_to(outputs).parts[1]
        if file.is_file() and part not in ("locks", "quarantine") and file.suffix != ".partial":
            found[str(file.relative_to(outputs))] = stored(file)
    for file in sorted(outputs.glob("distilled/*")):
        if file.suffix in (".json", ".safetensors") and not file.name.startswith("."):
            found[str(file.relative_to(outputs))] = record(file) if file.suffix == ".json" else digest(file)
    for run_folder in sorted(path.parent for path in outputs.glob(f"{runs}/summary.json")):
        found |= {f"{run_folder.name}/{name}": value for name, value in run_left(run_folder, folder).items()}
    return found


def stored(file: Path) -> str:
    """The digest of a file of the store; of notes, what does not depend on how long the work took."""
    if file.name != "notes.json":
        return digest(file)
    return untimed(file.read_text(), NOTED)


def record(file: Path) -> str:
    return untimed(file.read_text(), TIMES)


def untimed(text: str, names: set[str]) -> str:
    """JSON without the values of `names`, at any depth."""

    def without(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: without(value) for key, value in node.items() if key not in names}
        return [without(value) for value in node] if isinstance(node, list) else node

    return json.dumps(without(json.loads(text)), sort_keys=True)


def run_left(run_folder: Path, folder: Path) -> dict[str, str]:
    """The tables, predictions, examples, drawn numbers and summary of a run."""
    found = {}
    for file in sorted(run_folder.glob("tables/*")):
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        frame = frame.drop(columns=[column for column in frame if column in TIMES])
        found[f"tables/{file.name}"] = digest_of(frame.to_csv(index=False).encode())
    for file in sorted([*run_folder.glob("figures/*.csv"), *run_folder.glob("examples/**/*.png")]):
        found[str(file.relative_to(run_folder))] = digest(file)
    if (run_folder / "predictions.npz").is_file():
        with np.load(run_folder / "predictions.npz") as arrays:
            found |= {f"predictions.npz/{name}": digest_of(arrays[name].tobytes()) for name in arrays}
    found |= {f"figures/{file.stem}": "drawn" for file in run_folder.glob("figures/*.png")}
    found["report.html"] = str((run_folder / "report.html").is_file())
    text = (run_folder / "summary.json").read_text().replace(str(folder), "FOLDER")
    summary = json.loads(untimed(text, UNEQUAL))
    for choices in (summary.get("settings", {}), summary.get("choices", {})):
        choices.pop("tracking", None)
    found["summary.json"] = json.dumps(summary, sort_keys=True)
    return {name: value for name, value in found.items() if Path(name).stem != "time"}


def digest(file: Path) -> str:
    return digest_of(file.read_bytes())


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names under which two runs left something else."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@dataclass(frozen=True)
class Undisturbed:
    """A command that nothing disturbed: what it left in `folder`, its write events the first time and when repeated, as
    paths relative to the folder, and how many seconds it took. Copy the folder before changing anything in it."""

    folder: Path
    arguments: tuple[str, ...]
    left: dict[str, str]
    events: list[str]
    repeated: list[str]
    seconds: float

    def copy(self, folder: Path) -> Path:
        """A copy of the folder, at the path given."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return folder


def undisturbed(folder: Path, arguments: tuple[str, ...]) -> Undisturbed:
    """Run a command in `folder`, and once more in a copy, which must leave the same."""
    log = folder.parent / f"{folder.name}.events"
    ended = run(folder, arguments, log=str(log))
    assert ended.status == 0, ended.text
    began = time.monotonic()
    again = folder.parent / f"{folder.name} again"
    found = left(folder)
    shutil.copytree(folder, again)
    repeated = run(again, arguments, log=f"{log} again")
    assert repeated.status == 0, repeated.text
    assert not differences(left(again), found), differences(left(again), found)
    return Undisturbed(folder, arguments, found, events(log), events(Path(f"{log} again")), time.monotonic() - began)


def events(log: Path) -> list[str]:
    return [line.split("\t")[1] for line in log.read_text().splitlines()]


def continues(trial: Path, known: Undisturbed, arguments: Sequence[str] | None = None, **settings: Any) -> str | None:
    """Run the command again in `trial`; what is wrong with its end or with what it left, None where nothing is."""
    ended = run(trial, known.arguments if arguments is None else arguments, **settings)
    if ended.status != 0:
        return f"the same command ended with {ended.status}: {ended.text[-1500:]}"
    other = differences(left(trial), known.left)
    return f"the same command left other files: {', '.join(other[:8])}" if other else None


def one_line(ended: Ended) -> str | None:
    """What is wrong with how a command that failed said so, None where it was one `error: …` line."""
    if "Traceback" in ended.text:
        return f"a traceback: {ended.text[-3000:]}"
    errors = [line for line in ended.text.splitlines() if line.startswith("error: ")]
    return None if len(errors) == 1 else f"{len(errors)} error lines: {ended.text[-1500:]}"


def ill_said(ended: Ended, number: int, folder: Path) -> str | None:
    """What is wrong with how a run in `folder` that was sent a signal ended; None where one line, its exit code and the
    state of its run say so, or where it was done before it noticed."""
    lines = [line for line in ended.text.splitlines() if re.search("^(interrupted|terminated);", line)]
    if "Traceback" in ended.text or "Exception ignored" in ended.text or len(lines) != (ended.status != 0):
        return f"not one line, but: {ended.text[-2500:]}"
    if ended.status not in (0, 128 + number):
        return f"exit code {ended.status}: {ended.text[-2500:]}"
    pointer = folder / "outputs" / RUN / "tracking.json"
    state = json.loads(pointer.read_text())["state"] if pointer.is_file() else None
    if state not in ((FINISHED,) if ended.status == 0 else (None, STOPPED, FINISHED)):
        return f"exit code {ended.status}, but the run is marked as {state}"
    return None


def all_of(trials: Sequence[Any], trial: Callable[[Any], str | None]) -> list[str]:
    """Do `trial` for each, as many at a time as there are processors; what was wrong, each with its trial's name."""
    with ThreadPoolExecutor(WORKERS) as pool:
        told = pool.map(trial, trials)
        return [f"{name}: {wrong}" for name, wrong in zip(trials, told, strict=True) if wrong]


def seeded(*parts: Any) -> np.random.Generator:
    """Random numbers that depend on `parts` alone."""
    return np.random.default_rng(list(hashlib.sha256(repr(parts).encode()).digest()))


def discard(folder: Path) -> None:
    """Remove a trial that ended well, with what lies beside it."""
    for path in (folder, folder.parent / f"{folder.name}.aside"):
        shutil.rmtree(path, ignore_errors=True)
