"""Measure what is not computing: imports, a repeat over a full store, and the time until the first image is attacked.

    python benchmarks/start.py [--repeats 5] [--images 256] [--steps 50] [--tracking offline] [--folder FOLDER]

Each is a command in a new process. The named alternative is a process that imports torch and timm, which every program
that attacks a network of timm does. In each turn all commands run once, one after the other. The table has the medians
over the turns: of the seconds on the clock, of the processors' seconds (of all processes of the command), and of their
ratios to the alternative in the same turn.

The store is filled first, by the matrix of the thirteen bundled networks, which takes minutes; with --folder it is kept
and used again. The first image counts as attacked when the store has it, in batches of one image and with one step.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ALTERNATIVE = "import of torch and timm (the alternative)"
PAUSE = 0.01
Times = tuple[float, float]  # seconds on the clock, seconds of processors


def ended(process: subprocess.Popen[bytes], started: float) -> Times:
    """The times of a process, after its end; an error of it ends the benchmark."""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{process.args} ended with status {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime


def begun(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, *arguments], stdout=quiet, stderr=quiet)


def timed(*arguments: str) -> Times:
    """The times of a command of Python."""
    started = time.perf_counter()
    return ended(begun(arguments), started)


def first_image(folder: Path, *arguments: str) -> Times:
    """The times until an attack on a new store has its first image."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    process = begun([*arguments, f"output_dir={folder}"])
    while not any(folder.glob("store/adversarial/*/0.*")) and process.poll() is None:
        time.sleep(PAUSE)
    seconds, used = time.perf_counter() - started, processor_seconds(process.pid)
    if process.wait():
        sys.exit(f"{process.args} ended with status {process.returncode}")
    return seconds, used


def processor_seconds(process: int) -> float:
    """The processors' seconds that a running process has used so far, without its children; only Linux tells them."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return float("nan")


def commands(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Times]]:
    run = ["-m", "sat_exp", f"tracking={options.tracking}", "hardware.threads=1"]
    matrix = [*run, "experiment=quickstart", f"output_dir={folder}"]
    matrix += [f"dataset.size={options.images}", f"attack.steps={options.steps}"]
    image = [*run, "attack=pgd", "model=fashion_vit", "dataset.size=20", "hardware.batch_size=1", "attack.steps=1"]
    return {
        ALTERNATIVE: lambda: timed(
            "-c", "import sat_exp, torch, timm"
        ),  # sat_exp: torchvision beside any build of torch
        "import sat_exp": lambda: timed("-c", "import sat_exp"),
        "--help": lambda: timed("-m", "sat_exp", "--help"),
        "import of the task matrix": lambda: timed("-c", "import sat_exp.tasks.matrix"),
        "repeat of the quickstart over a full store": lambda: timed(*matrix),
        "until the first attacked image": lambda: first_image(folder / "first", *image),
    }


@contextlib.contextmanager
def place(chosen: str | None) -> Iterator[Path]:
    """The folder of the store: the chosen one, else a new one that is removed at the end."""
    if chosen is not None:
        yield Path(chosen)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--tracking", default="offline")
    parser.add_argument("--folder")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with place(options.folder) as folder:
        measured = commands(options, folder)
        for _ in range(2):  # the second run fills caches of files
            measured["repeat of the quickstart over a full store"]()
        turns = [{name: work() for name, work in measured.items()} for _ in range(options.repeats)]
    table = Table("", "seconds", "processors' seconds", "seconds ÷ alternative", "processors' ÷ alternative")
    for name in measured:
        ratios = [[turn[name][which] / turn[ALTERNATIVE][which] for turn in turns] for which in (0, 1)]
        seconds = [[turn[name][which] for turn in turns] for which in (0, 1)]
        table.add_row(name, *(f"{statistics.median(each):.2f}" for each in [*seconds, *ratios]))
    console = Console(width=120)
    console.print(table)
    loads = ", ".join(f"{turn[ALTERNATIVE][0]:.1f}" for turn in turns)
    console.print(f"seconds of the alternative in each turn, which show the load of the machine: {loads}")


if __name__ == "__main__":
    main()
