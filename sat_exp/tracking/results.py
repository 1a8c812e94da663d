"""The results of a finished run in W&B, under stable keys.

run.config                 the config of the start, completed from summary.json
tables/<name>              wandb.Table, every row and column (missing numbers are empty cells)
tables/examples            the same with the example images themselves
figures/<name>, report     the PNG figures and report.html
drawn/<name>               wandb.Table of the numbers in a figure
run.summary                models/<model>/<column>, pairs/<a>/<b>/<column> (small pools), mean/<table>/<column>,
                           <table>/<row>/<column> of a study's small tables (a row is named by its first column and
                           its other texts, for instance importance/stem/p_alone), timings/<stage>, warnings (a count)
artifacts                  see `artifacts`
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas
import wandb

from sat_exp.runs import Run, registry
from sat_exp.tracking.artifacts import lineage

CONFIG_KEYS = ("task", "title", "command", "created", "choices", "versions", "hardware", "attack", "dataset")
KEYS = {"models": ["model"], "pairs": ["model_a", "model_b"]}
"""The columns that name a row of the tables of a measurement."""

ENDS = ("_low", "_high")
SMALL = 55  # rows of a table up to which its numbers are summary scalars: the pairs of ten models with the diagonal
PAGE = "report.html"
PICTURES = ("clean", "adversarial")


def config(client: wandb.Run, run: Run) -> None:
    """Complete the run's config with the choices, versions, commit and settings of summary.json; values stay."""
    summary = run.summary
    recorded = {key: summary[key] for key in (*CONFIG_KEYS, "measured") if key in summary}
    started = {key: value for key, value in client.config.items() if key != "_wandb"}
    settings = summary.get("settings", {})
    if filled(started, settings) != started:
        recorded["settings"] = settings
    client.config.update(filled(started, recorded), allow_val_change=True)


def tables(client: wandb.Run, run: Run) -> None:
    for name, frame in run.tables().items():
        if name != "examples":
            client.log({f"tables/{name}": table(frame)})


def examples(client: wandb.Run, run: Run) -> None:
    """The table of examples, with images instead of the names of files."""
    frame = run.table("examples")
    if frame is not None:
        with run.copied({file for name in PICTURES for file in frame[name]}) as place:
            images = {name: [wandb.Image(str(place / file)) for file in frame[name]] for name in PICTURES}
            client.log({"tables/examples": table(frame.assign(**images))})


def figures(client: wandb.Run, run: Run) -> None:
    files = drawn(run, ".png")
    if files:
        with run.copied(files) as place:
            client.log({f"figures/{Path(file).stem}": wandb.Image(str(place / file)) for file in files})


def numbers_drawn(client: wandb.Run, run: Run) -> None:
    for file in drawn(run, ".csv"):
        client.log({f"drawn/{Path(file).stem}": table(pandas.read_csv(BytesIO(run.content(file))))})


def report(client: wandb.Run, run: Run) -> None:
    if PAGE in run.files:
        client.log({"report": wandb.Html(run.content(PAGE).decode("utf-8"), inject=False)})


def key_numbers(client: wandb.Run, run: Run) -> None:
    client.summary.update(scalars(run.tables(), run.summary))


UPLOADS = (config, tables, examples, figures, numbers_drawn, report, key_numbers, lineage)


def drawn(run: Run, suffix: str) -> list[str]:
    """The files of a run's figures that have the suffix."""
    return [file for file in run.files if file.startswith("figures/") and file.endswith(suffix)]


def table(frame: pandas.DataFrame) -> wandb.Table:
    """The rows as exact Python values, None where one is missing."""
    values = frame.astype(object).where(frame.notna(), None)
    return wandb.Table(columns=[str(column) for column in frame.columns], data=values.to_numpy().tolist())


def scalars(frames: Mapping[str, pandas.DataFrame], summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers to compare between runs, without missing ones."""
    numbers: dict[str, float] = {}
    for name, frame in frames.items():
        if (name in KEYS or registry.table(name).finding) and (name == "models" or 0 < len(frame) <= SMALL):
            numbers |= of_rows(name, frame)
    for name, frame in frames.items():
        if name in KEYS:
            averaged = frame if name == "models" else frame[frame["model_a"] != frame["model_b"]]
            means = averaged.select_dtypes("floating").mean()
            numbers |= {f"mean/{name}/{key}": mean for key, mean in means.items() if not str(key).endswith(ENDS)}
    for kind, field in (("timings", "timings"), ("planned", "planned_seconds")):
        numbers |= {f"{kind}/{stage}": seconds for stage, seconds in summary.get(field, {}).items()}
    numbers["warnings"] = len(summary.get("warnings", []))
    return {key: value for key, value in numbers.items() if not pandas.isna(value)}


def of_rows(name: str, frame: pandas.DataFrame) -> dict[str, float]:
    """<table>/<row>/<column>; {} where two rows have one name."""
    first, *others = frame.columns
    keys = KEYS.get(name) or [first, *frame[others].select_dtypes(["object", "string", "category"])]
    rows = [f"{name}/{'/'.join(map(str, row))}" for row in frame[keys].astype(str).to_numpy()]
    if len(set(rows)) < len(rows):
        return {}
    numeric = frame.drop(columns=keys).select_dtypes(["number", "bool"])
    return {
        f"{row}/{column}": value
        for row, values in zip(rows, numeric.to_dict("records"), strict=True)
        for column, value in values.items()
    }


def filled(first: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`first` with the entries that it lacks taken from `more`, at every depth."""
    shared = [key for key in first.keys() & more.keys() if isinstance(first[key], Mapping)]
    deeper = {key: filled(first[key], more[key]) for key in shared if isinstance(more[key], Mapping)}
    return {**more, **first, **deeper}
