"""Processes that run the command line and start quickly, and the check that a command refused its settings."""

import multiprocessing
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.font_manager  # writes its list of fonts where there is none, and says so

from sat_exp.names import CONF

CHILD = Path(__file__).with_name("child.py")
TASKS = [file.stem for file in (CONF / "task").glob("*.yaml")]
PRELOADED = [
    "sat_exp.settings", "sat_exp.sweeps", "sat_exp.attacks", "sat_exp.datasets", "sat_exp.tracking",
    *(f"sat_exp.tasks.{task}" for task in TASKS), *(f"sat_exp.studies.{task}.task" for task in TASKS),
    "timm", "torchvision", "wandb", "hydra", "pytest",
]  # fmt: skip
"""Modules to import before forking; one that does not exist is left out."""

PATIENCE = 60
"""Seconds that a process may take: far more than it needs, so that one that hangs is a failure."""

WORKERS = min(2, os.cpu_count() or 1)
LONGEST = 1000
"""Characters that a line of an error may have."""

BEGUN = "the work begins"
WAITING = re.compile(r"^loading libraries and models \.\.\.\n", re.MULTILINE)
"""A line that only a slow process prints."""

ADVICE = re.compile(
    r"\b(add|give|one of|near it|near:|did you mean|there are|there is no|choose|leave (it|them) out|type|quote|needs?"
    r"|use|save|only taken from|pip install|remove|is (not|no) an? )\b",
    re.IGNORECASE,
)
"""How an error says what a setting may be, or what to do."""

DEEP = "1/2/3/4/5/6"
"""Where in its box a command runs: a name with ../ that escapes is still seen."""


@dataclass(frozen=True)
class Case:
    """A command that must be refused before anything begins.

    group: of the setting. kind: of wrongness. arguments: what is typed; {given} stands for the folder of `files.given`.
    names: what the error must name.
    """

    group: str
    kind: str
    arguments: tuple[str, ...]
    names: str

    def __str__(self) -> str:
        typed = " ".join(shown(argument) for argument in self.arguments)
        return f"[{self.group}, {self.kind}] {typed}"


@dataclass(frozen=True)
class Start:
    """How a process is started: see child.py. begin: printed in place of the work, None where that is done."""

    arguments: Sequence[str]
    folder: str
    output: str
    environment: dict[str, str]
    begin: str | None


@dataclass(frozen=True)
class Ended:
    """status: the exit code, None for a process that had to be killed. text: all that was printed. made: the files and
    folders that were made in the box, outside the home folder too. seconds: how long it took."""

    status: int | None
    text: str
    made: tuple[str, ...]
    seconds: float

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def shown(argument: str) -> str:
    """An argument, cut where it is long, with what cannot be printed as escapes."""
    text = argument if argument.isprintable() else repr(argument)
    return text if len(text) <= 120 else f"{text[:120]}… ({len(argument)} characters)"


def environment(box: Path) -> dict[str, str]:
    """Of a process in `box`: a home of its own, one thread, nothing of W&B's, no network for hubs."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    home = str(box / "home")
    return kept | {
        "HOME": home,
        "TMPDIR": str(box.parent),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "COLUMNS": "200",
        "NETRC": f"{home}/netrc",
        "HF_HUB_OFFLINE": "1",
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }


def forked(arguments: Sequence[str], folder: Path, output: Path, begin: str | None, box: Path) -> int | None:
    """The exit code of the command in a forked process, None where it was killed."""
    started = Start(list(arguments), str(folder), str(output), environment(box), begin)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=runpy.run_path, args=(str(CHILD), {"settings": asdict(started)}, "__main__"))
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def fresh(arguments: Sequence[str], folder: Path, output: Path, begin: str | None, box: Path) -> int | None:
    """The same in a process that imports everything itself, as users start it."""
    assert begin is None
    with output.open("w") as file:
        try:
            return subprocess.run(
                [sys.executable, "-m", "sat_exp", *arguments], cwd=folder, env=environment(box),
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return None


def run(
    arguments: Sequence[str],
    given: Path,
    begin: str | None = None,
    start: Callable[..., int | None] = forked,
) -> Ended:
    """Run `python -m sat_exp ARGUMENTS` in a box that is then removed; {given} in them is the folder `given`.

    begin: printed in place of the work. start: how, `forked` or `fresh`.
    """
    place = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        folder = place / "box" / DEEP
        folder.mkdir(parents=True)
        (place / "box" / "home").mkdir()
        before = below(place / "box")
        output = place / "printed"
        typed = [argument.replace("{given}", str(given)) for argument in arguments]
        began = time.monotonic()
        status = start(typed, folder, output, begin, place / "box")
        seconds = time.monotonic() - began
        text = WAITING.sub("", output.read_text(errors="replace") if output.is_file() else "")
        made = tuple(sorted(below(place / "box") - before))
        return Ended(status, text.replace(str(place), "PLACE").replace(str(given), "GIVEN"), made, seconds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def wrong(case: Case, ended: Ended) -> str | None:
    """What is wrong with how a command was refused, None where nothing is."""
    last = ended.lines[-1] if ended.lines else ""
    faults = {
        f"it was still running after {PATIENCE} s": ended.status is None,
        "it was accepted": ended.status == 0,
        f"ended by signal {-(ended.status or 0)}": ended.status is not None and ended.status < 0,
        "a traceback": "Traceback" in ended.text,
        "no error line": not last.startswith("error: "),
        f"{len(ended.lines)} lines": len(ended.lines) != 1,
        "characters that cannot be printed": not last.isprintable(),
        f"{len(last)} characters": len(last) > LONGEST,
        f"{case.names!r} is not named": case.names not in last,
        "it does not say what to give": not ADVICE.search(last),
        f"it made {len(ended.made)} files and folders, such as {(*ended.made, '')[0]}": bool(ended.made),
    }
    found = [fault for fault, holds in faults.items() if holds]
    return f"{'; '.join(found)}\n    {ended.text.strip()[-600:]}" if found else None


def all_of(trials: Sequence[Any], trial: Callable[[Any], str | None]) -> list[str]:
    """Do `trial` for each, a few at a time; what was wrong, each with its trial's name."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return [f"{one}: {told}" for one, told in zip(trials, pool.map(trial, trials), strict=True) if told]
