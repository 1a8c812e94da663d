"""The findings of a plan in words, and on the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.table import Table

from sat_exp.modules.throughput import RATES
from sat_exp.studies.plan import planning
from sat_exp.studies.plan.finished import Finished
from sat_exp.tasks import printing
from sat_exp.tasks.store import amount

STAGES = dict(zip(("load", "clean outputs", "attack", "transfer"), planning.STAGES, strict=True)) | {"total": "seconds"}

MOST_EXPENSIVE = 8
DEVICES = (2, 4, 8)


@dataclass(frozen=True)
class Plan:
    """A plan. finished: the run behind its assumptions. disk: bytes by kind of artefact; free: bytes free. batch_size,
    width: the settings."""

    title: str
    tables: Mapping[str, pd.DataFrame]
    finished: Finished
    disk: Mapping[str, int]
    free: int
    batch_size: int
    width: float
    cautions: list[str]

    @property
    def models(self) -> pd.DataFrame:
        return self.tables["plan"]

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage, of all models."""
        return {stage: float(self.models[column].sum()) for stage, column in STAGES.items()}

    def sentences(self) -> list[str]:
        """The plan in two sentences."""
        total, low, high = (self.models[column].sum() for column in ("seconds", "seconds_low", "seconds_high"))
        spread = f" ({duration(low)} to {duration(high)} by the spread of the scaling)" if high > low else ""
        assumed = (
            f"with accuracies from {self.finished.folder}"
            if self.finished.folder is not None
            else "as if every image were attacked; with labels=truth only correctly classified images are"
        )
        largest = self.models.loc[self.models["peak_bytes"].idxmax()]
        return [
            f"It takes {duration(total)}{spread}, {assumed}; decoding the images is not counted.",
            f"It needs {amount(sum(self.disk.values()))} of disk. At batches of {self.batch_size} it needs "
            f"{amount(largest['peak_bytes'])} of memory for {largest['name']}, including "
            f"{amount(largest['weights_bytes'])} of weights.",
        ]


def show(plan: Plan, notes: list[str], page: Path) -> None:
    """Print the totals, the most expensive models, the images needed, notes and cautions."""
    console = printing.console()
    console.print(f"\n{plan.title}", style="bold", soft_wrap=True)
    for text in plan.sentences():
        console.print(text, soft_wrap=True)
    for table in (_totals(plan), _models(plan), _images(plan)):
        console.print(table)
    for text in (f"({_assumptions(plan.finished)})", *notes):
        console.print(text, soft_wrap=True)
    for caution in plan.cautions:
        console.print(printing.caution(caution), soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds in a readable unit, for instance '29 min'."""
    units = (("days", 86400), ("h", 3600), ("min", 60))
    unit, length = next(((unit, length) for unit, length in units if seconds >= 2 * length), ("s", 1))
    return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:,.0f} {unit}"


def _totals(plan: Plan) -> Table:
    table = Table(show_header=False)
    for stage, seconds in plan.seconds().items():
        table.add_row(stage, duration(seconds))
    on_several = (f"{count}: {duration(planning.shared_seconds(plan.models, count))}" for count in DEVICES)
    table.add_row("on several such devices", ", ".join(on_several))
    table.add_row("memory, all weights resident", amount(plan.models["weights_bytes"].sum()))
    kinds = ", ".join(f"{kind} {amount(size)}" for kind, size in plan.disk.items())
    table.add_row("disk", f"{kinds}; free {amount(plan.free)}")
    return table


def _models(plan: Plan) -> Table:
    order = plan.models["seconds"].sort_values(ascending=False).index[:MOST_EXPENSIVE]
    times, used = plan.models.loc[order], plan.tables["throughput_used"].loc[order]
    seconds = times[["attack_seconds", "seconds"]].map(duration).set_axis(["attack", "total"], axis=1)
    rates = used[RATES].map(lambda rate: f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}")
    rows = seconds.join(rates.set_axis(["images/s", "steps/s"], axis=1)).assign(rates=used["source"])
    title = "most expensive models" if len(plan.models) > len(order) else "models"
    return printing.table(title, rows.assign(model=times["name"]), {"model": ""} | dict.fromkeys(rows, "s"))


def _images(plan: Plan) -> Table:
    sizes = plan.tables["images_needed"]
    table = Table("transfer rate", title="images needed for an interval of SAT", title_justify="left")
    table.add_column(f"width at {sizes['planned_images'].iloc[0]:,} images", justify="right")
    for wanted in sizes["width"].unique():
        table.add_column(f"width {wanted:.3g}", justify="right", style="bold" if wanted == plan.width else None)
    for rate, rows in sizes.groupby("transfer_rate"):
        needed = (f"{number:,}" for number in rows["images"])
        table.add_row(f"{rate:.0%}", f"{rows['width_planned'].iloc[0]:.3f}", *needed)
    return table


def _assumptions(finished: Finished) -> str:
    if finished.folder is None:
        return "images are those common to a pair; an upper bound, as if every image fooled both ways or neither"
    return (
        f"with the correlation {finished.correlation:.2f} of the two directions and the {finished.common:.0%} of "
        f"images common to a pair of {finished.folder}"
    )
