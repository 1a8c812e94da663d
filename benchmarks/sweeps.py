"""Compare the time of a sweep over all pairs of the bundled pool with composing its jobs, when the store is full.

    python benchmarks/sweeps.py [--images 64] [--steps 20] [--repeats 3] [--tracking offline]

Five ways to the same 13×13 transfer rates are timed in turn, in this process, without imports, with every file written:

- Hydra composes a job for each pair and runs none of them: the alternative;
- pairs under Hydra's own sweeper: some of the 169 jobs are run, and their mean stands for each;
- pairs, model=glob(*) model@target=glob(*), as one job;
- rows, model=glob(*) against the pool, as one job;
- task=matrix.

The table has the medians over the turns: of the seconds, of the ratio to composing in the same turn, and of the ratio
to the matrix. Then the last three ways are timed again, each with an empty store.
"""

import argparse
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import hydra
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from sat_exp.__main__ import main as command_line
from sat_exp.names import CONF

COMPOSED, SEPARATE, PAIRS, ROWS, MATRIX = (
    "Hydra's composition of the pairs",
    "pairs, Hydra's sweeper *",
    "pairs",
    "rows",
    "matrix",
)


def run(*arguments: str) -> None:
    """Run one command in this process without output. Its error ends the benchmark."""
    sys.argv = ["sat_exp", *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command_line()
    finally:
        logging.getLogger().handlers.clear()


def composing(names: list[str], settings: list[str]) -> None:
    """Compose a job for each pair of `names`."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        for source in names:
            for target in names:
                pair = ["task=transfer", f"model={source}", f"model@target={target}"]
                hydra.compose("config", overrides=[*settings, *pair], return_hydra_config=True)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def forms(options: argparse.Namespace, folder: str) -> tuple[list[str], dict[str, Callable[[], float]]]:
    """The settings that all commands share, and the three forms, which use the store under `folder`."""
    settings = [
        f"output_dir={folder}", f"dataset.size={options.images}", f"attack.steps={options.steps}",
        f"tracking={options.tracking}", "hardware.threads=1", "pool=bundled",
    ]  # fmt: skip
    sweep = ["-m", *settings, "task=transfer", "model=glob(*)"]
    return settings[:-1], {
        PAIRS: lambda: timed(lambda: run(*sweep, "model@target=glob(*)")),
        ROWS: lambda: timed(lambda: run(*sweep)),
        MATRIX: lambda: timed(lambda: run(*settings, "task=matrix")),
    }


def from_empty(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of the three forms with an empty store, in every turn."""
    seconds: dict[str, list[float]] = {PAIRS: [], ROWS: [], MATRIX: []}
    for _ in range(options.repeats):
        for way in seconds:
            with tempfile.TemporaryDirectory() as folder:
                seconds[way].append(forms(options, folder)[1][way]())
    return seconds


def compare(options: argparse.Namespace, folder: str) -> dict[str, list[float]]:
    """Seconds of each way with a full store, in every turn."""
    names = list(OmegaConf.load(CONF / "pool/bundled.yaml").models)
    settings, three = forms(options, folder)
    few = ",".join(names[: options.jobs])

    def separate() -> None:
        run("-m", *settings, "hydra/sweeper=basic", "task=transfer", f"model={names[-1]}", f"model@target={few}")

    ways: dict[str, Callable[[], float]] = {
        COMPOSED: lambda: timed(lambda: composing(names, settings)),
        SEPARATE: lambda: timed(separate) / options.jobs * len(names) ** 2,
    } | three
    ways[MATRIX]()
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, work in ways.items():
            seconds[way].append(work())
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=4, help="number of jobs that Hydra's own sweeper runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tracking", default="offline", choices=("disabled", "offline"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = compare(options, folder)
    what = f"13×13 transfer rates, {options.images} images, {options.steps} steps, tracking={options.tracking}"
    show(f"{what}, with a full store", seconds, (COMPOSED, MATRIX))
    print(f"* {options.jobs} jobs were run; their mean is multiplied by 169.")
    show(f"{what}, with an empty store", from_empty(options), (MATRIX,))


def show(title: str, seconds: dict[str, list[float]], bases: tuple[str, ...]) -> None:
    table = Table("way", title=title, title_justify="left")
    for heading in ("seconds", *(f"÷ {basis}" for basis in bases)):
        table.add_column(heading, justify="right")
    for way, times in seconds.items():
        ratios = [
            statistics.median(time / other for time, other in zip(times, seconds[basis], strict=True))
            for basis in bases
        ]
        table.add_row(way, f"{statistics.median(times):.1f}", *(f"{ratio:.3f}" for ratio in ratios))
    Console().print(table)


if __name__ == "__main__":
    main()
