"""The findings of a plan in words, and on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from humanize import naturalsize
from rich.table import Table

from sat_exp.modules.throughput import RATES
from sat_exp.studies.plan import planning
from sat_exp.studies.plan.planning import Finished
from sat_exp.tasks import printing

STAGES = dict(zip(("load", "clean outputs", "attack", "transfer"), planning.STAGES, strict=True)) | {"total": "seconds"}


def seconds(plan: pd.DataFrame) -> dict[str, float]:
    """The seconds of each stage, of all models."""
    return {stage: float(plan[column].sum()) for stage, column in STAGES.items()}


def time(plan: pd.DataFrame, scaling: pd.DataFrame, workers: int, finished: Finished) -> list[str]:
    """How long it takes on `workers`. scaling: the table of that name."""
    total, low, high = (plan[column].sum() for column in ("seconds", "seconds_low", "seconds_high"))
    known = scaling.set_index("workers").loc[workers]
    least, most = (duration(known["seconds"] * bound / total) for bound in (low, high))
    details = [f"{least} to {most} by the spread of the scaling"] if high > low else []
    if workers > 1:
        details.append(f"efficiency {known['efficiency']:.0%}")
    assumed = "as if every image were attacked; with labels=truth only correctly classified images are"
    if finished.folder is not None:
        assumed = f"with accuracies from {finished.folder}"
    takes = f"It takes {duration(known['seconds'])}" + (f" on {workers} workers" if workers > 1 else "")
    bracket = f" ({', '.join(details)})" if details else ""
    return [f"{takes}{bracket}, {assumed}; decoding the images is not counted."]


def needs(plan: pd.DataFrame, disk: int, moved: Mapping[str, int], batch_size: int, loads: int | None) -> list[str]:
    """Disk, traffic and memory. disk: bytes. moved: see `planning.traffic`. loads: how often a model is loaded where
    adversarial images are dropped; None where they are kept."""
    largest = plan.loc[plan["peak_bytes"].idxmax()]
    times = "once" if loads == 1 else f"up to {loads} times"
    dropped = "" if loads is None else f" with adversarial=drop, where each model is loaded {times}"
    return [
        f"It needs {naturalsize(disk)} of disk{dropped}, writes {naturalsize(moved['written'])} to the store, reads "
        f"{naturalsize(moved['read'])} from it and, at batches of {batch_size}, takes "
        f"{naturalsize(largest['peak_bytes'])} of memory for {largest['name']}, including "
        f"{naturalsize(largest['weights_bytes'])} of weights.",
    ]


def images(sizes: pd.DataFrame, width: float) -> list[str]:
    """The images that intervals of SAT of `width` need. sizes: the table `images_needed`."""
    needed = sizes[sizes["width"] == width].set_index("transfer_rate")["images"]
    rates = " and ".join(f"{needed[rate]:,} at one of {rate:.0%}" for rate in (needed.index.min(), needed.index.max()))
    return [f"For an interval of SAT {width:g} wide, the images needed depend on the transfer rate: {rates}."]


def printed(
    tables: Mapping[str, pd.DataFrame], summary: dict[str, Any], finished: Finished, width: float
) -> Iterator[Table]:
    """The totals, the most expensive models and the images needed, with what they rest on."""
    yield _totals(tables, summary)
    models = _models(tables)
    models.caption = "\n".join(summary["notes"])
    yield models
    images = _images(tables["images_needed"], width)
    images.caption = _assumptions(finished)
    yield images


def duration(seconds: float) -> str:
    """Seconds in a readable unit, for instance '29 min'."""
    units = (("days", 86400), ("h", 3600), ("min", 60))
    unit, length = next(((unit, length) for unit, length in units if seconds >= 2 * length), ("s", 1))
    return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:,.0f} {unit}"


def _totals(tables: Mapping[str, pd.DataFrame], summary: dict[str, Any]) -> Table:
    table = Table(show_header=False, title=summary["title"], title_justify="left")
    for stage, time in summary["planned_seconds"].items():
        table.add_row(stage, duration(time))
    several = tables["scaling"].set_index("workers")["seconds"].drop(1)
    table.add_row("on several workers", ", ".join(f"{count}: {duration(time)}" for count, time in several.items()))
    table.add_row("memory, all weights resident", naturalsize(tables["plan"]["weights_bytes"].sum()))
    kinds = ", ".join(f"{kind} {naturalsize(size)}" for kind, size in summary["disk_bytes"].items())
    free = "" if summary["free_bytes"] is None else f"; free {naturalsize(summary['free_bytes'])}"
    table.add_row("disk", f"{kinds}{free}")
    moved = summary["traffic_bytes"]
    table.add_row("traffic", f"{naturalsize(moved['written'])} written, {naturalsize(moved['read'])} read")
    return table


def _models(tables: Mapping[str, pd.DataFrame]) -> Table:
    order = tables["plan"]["seconds"].sort_values(ascending=False).index[:8]
    times, used = tables["plan"].loc[order], tables["throughput_used"].loc[order]
    seconds = times[["attack_seconds", "seconds"]].map(duration).set_axis(["attack", "total"], axis=1)
    rates = used[RATES].map(lambda rate: f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}")
    rows = seconds.join(rates.set_axis(["images/s", "steps/s"], axis=1)).assign(rates=used["source"])
    title = "most expensive models" if len(tables["plan"]) > len(order) else "models"
    return printing.table(title, rows.assign(model=times["name"]), {"model": ""} | dict.fromkeys(rows, "s"))


def _images(sizes: pd.DataFrame, width: float) -> Table:
    table = Table("transfer rate", title="images needed for an interval of SAT", title_justify="left")
    table.add_column(f"width at {sizes['planned_images'].iloc[0]:,} images", justify="right")
    for wanted in sizes["width"].unique():
        table.add_column(f"width {wanted:.3g}", justify="right", style="bold" if wanted == width else None)
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
