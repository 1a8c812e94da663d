"""Simulate the paper's study on 1 to 64 workers, and draw the efficiency for several lengths of a piece of work.

    python benchmarks/scaling.py [--speed 200] [--images 5000] [--steps 50] [--figure docs/machines/scaling.svg]

The costs of the 69 networks are those of one core in `sat_exp/modules/throughput.csv`, divided by `--speed`: 200 is a
GPU that classifies 2,400 images a second with ResNet-50. Every image is attacked. The simulation is that of
task=plan. The alternative is one process that does everything: efficiency is its time, divided by the time of all
workers.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import PercentFormatter, ScalarFormatter
from rich.console import Console
from rich.table import Table

from sat_exp.engine import Engine, Local
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm
from sat_exp.measurement.division import ROOM
from sat_exp.modules import throughput
from sat_exp.modules.hardware import CHUNK
from sat_exp.studies.plan import planning
from sat_exp.studies.plan.simulation import Matrix, Workers, measured_by, scaling

WORKERS = (1, 2, 4, 8, 16, 32, 64)
SHAPE = (3, 224, 224)
CLASSES = 1000
ENGINES: dict[str, Engine] = {
    "processes, 60 s (default)": Processes(),
    "processes, 15 s": Processes(seconds=15),
    "processes, 600 s": Processes(seconds=600),
    "Slurm, 300 s (default)": Slurm(""),
    "processes, whole models as pieces": Processes(seconds=float("inf")),
}


def study(options: argparse.Namespace) -> tuple[Matrix, dict[str, int]]:
    """The measurement, and the bytes that it moves to and from the store."""
    known = throughput.read(throughput.SHIPPED)
    known[throughput.RATES] *= options.speed
    attacked = pd.Series(options.images, known.index)
    size = math.prod(SHAPE)
    work = {
        "images": options.images,
        "steps": options.steps,
        "size": size,
        "batch": CHUNK,
        "room": ROOM * options.memory,
    }
    matrix = planning.matrix(known.assign(name=known["model"]), attacked, **work)
    disk = planning.disk(attacked, options.images, SHAPE, CLASSES)
    return matrix, planning.traffic(disk, len(known), groups=len(known))


def losses(workers: Workers, count: int, alone: Workers) -> dict[str, float]:
    """The shares of the workers' time that is not that of one process."""
    whole = count * workers.ended
    lost = {"start": workers.starting, "load": workers.loading - alone.loading}
    return {cause: seconds / whole for cause, seconds in lost.items()} | {"wait": abs(workers.waiting) / whole}


def show(title: str, engine: Engine, matrix: Matrix, alone: Workers, moved: int) -> None:
    table = Table("workers", title=title, title_justify="left")
    for heading in ("hours", "efficiency", "lost: start", "load", "wait", "store, MB/s"):
        table.add_column(heading, justify="right")
    for count in WORKERS:
        workers = measured_by(engine, count, matrix)
        lost = [f"{share:.1%}" for share in losses(workers, count, alone).values()]
        efficiency = alone.ended / (count * workers.ended)
        rate = f"{moved / workers.ended / 1e6:,.0f}"
        table.add_row(str(count), f"{workers.ended / 3600:.2f}", f"{efficiency:.1%}", *lost, rate)
    Console().print(table)


def draw(matrix: Matrix, path: Path) -> None:
    """The efficiency of each engine against the number of workers."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "scaling", "font.size": 10})
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (name, engine), marker in zip(ENGINES.items(), "osd^v", strict=True):
        axes.plot(WORKERS, scaling(matrix, engine, WORKERS)["efficiency"], marker=marker, markersize=4, label=name)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlabel="workers", ylabel="efficiency", xticks=WORKERS, ylim=(0, 1.03))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=200, help="of a worker, in cores of the table")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--memory", type=float, default=80e9, help="bytes of a worker's device")
    parser.add_argument("--figure", type=Path, help="the SVG or PNG file to draw")
    options = parser.parse_args()
    matrix, traffic = study(options)
    moved = sum(traffic.values())
    print(f"{len(matrix.models)} models, {options.images} images, {options.steps} steps")
    print(f"{traffic['written'] / 1e9:.0f} GB written to the store, {traffic['read'] / 1e9:,.0f} GB read")
    alone = measured_by(Local(), 1, matrix)
    for name, engine in ENGINES.items():
        show(name, engine, matrix, alone, moved)
    if options.figure is not None:
        draw(matrix, options.figure)


if __name__ == "__main__":
    main()
