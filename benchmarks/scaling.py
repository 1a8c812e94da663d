"""The paper's measurement on 1 to 64 workers, simulated from measured costs: 69 models, 5,000 images, 50 steps.

The costs are the throughput table of the package, measured on one thread, divided by --speed for an accelerator. The
alternative is a piece of work for each model as a whole. Prints hours and efficiencies, and draws a figure.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from rich.console import Console
from rich.table import Table

from sat_exp.engine import Engine
from sat_exp.engine.processes import Processes
from sat_exp.engine.slurm import Slurm
from sat_exp.modules.throughput import SHIPPED, read
from sat_exp.studies.plan.simulation import START, Costs, Study, seconds_on

WORKERS = (1, 2, 4, 8, 16, 32, 64)
ENGINES: dict[str, Engine] = {
    "whole models": Processes(seconds=1e12),
    "pieces of 600 s": Processes(seconds=600),
    "pieces of 60 s": Processes(seconds=60),
    "pieces of 10 s": Processes(seconds=10),
    "jobs of 600 s (Slurm)": Slurm("jobs", seconds=600),
    "jobs of 60 s (Slurm)": Slurm("jobs", seconds=60),
}


def study(images: int, steps: int, batch: int, speed: float) -> Study:
    """All networks of the table on images of 224 × 224 pixels, four fifths of which are classified correctly."""
    costs = [
        Costs(
            row.model,
            row.parameters,
            row.load_seconds,
            1 / (speed * row.forward_images_per_second),
            1 / (speed * row.attack_step_images_per_second),
            0.8 * images,
        )
        for row in read(SHIPPED).itertuples()
    ]
    return Study(costs, images, steps, 3 * 224 * 224, batch)


def simulated(work: Study) -> pd.DataFrame:
    """Seconds by engine and number of workers."""
    rows = [(name, count, seconds_on(count, work, engine)) for name, engine in ENGINES.items() for count in WORKERS]
    return pd.DataFrame(rows, columns=["engine", "workers", "seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--speed", type=float, default=300, help="how many threads an accelerator is worth")
    parser.add_argument("--figure", type=Path, help="a file to draw the efficiencies in")
    options = parser.parse_args()
    work = study(options.images, options.steps, options.batch, options.speed)
    found = simulated(work)
    # One worker that starts once, loads each model twice and waits for nothing.
    ideal = seconds_on(1, work, Processes(seconds=1e12)) - START
    found["efficiency"] = ideal / found["workers"] / found["seconds"]
    table = Table("engine", *map(str, WORKERS), title=f"efficiency by workers; one worker: {ideal / 3600:.1f} h")
    for name, rows in found.groupby("engine", sort=False):
        cells = (f"{row.efficiency:.0%} ({row.seconds / 3600:.2f} h)" for row in rows.itertuples())
        table.add_row(str(name), *cells)
    console = Console(width=150)
    console.print(table)
    largest = max(work.models, key=lambda model: model.step)
    share = largest.step / sum(model.step for model in work.models)
    console.print(f"longest attack: {largest.name}, {share:.1%} of all attacks")
    read_bytes = len(work.models) * sum(model.attacked for model in work.models) * work.size
    rate = read_bytes / (sum(model.forward for model in work.models) * sum(model.attacked for model in work.models))
    console.print(f"the transfer reads {read_bytes / 1e12:.2f} TB, {rate / 1e6:.0f} MB/s for each worker")
    if options.figure:
        draw(found, options.figure)


def draw(found: pd.DataFrame, file: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, rows in found.groupby("engine", sort=False):
        axes.plot(rows["workers"], 100 * rows["efficiency"], marker="o", markersize=4, label=name)
    axes.axhline(90, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlabel="workers", ylabel="efficiency (%)", ylim=(0, 103))
    axes.set_xticks(WORKERS, [str(count) for count in WORKERS])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
