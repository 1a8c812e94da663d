"""What of a finished run folder goes to W&B, and under which stable keys.

run.config                 the config given at the start, filled up from summary.json
tables/<name>              wandb.Table, every row and column (missing numbers are empty cells)
tables/examples            the same with the example images themselves
figures/<name>, report     the PNG figures and report.html
drawn/<name>               wandb.Table of the numbers that a figure shows
run.summary                models/<model>/<column>, pairs/<a>/<b>/<column> (small pools), mean/<table>/<column>,
                           <table>/<row>/<column> of a study's small tables (a row is called by its first column and
                           its other texts, as in importance/stem/p_alone), timings/<stage>, warnings (their number)
artifacts                  see `artifacts`
"""

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas
import wandb

from sat_exp.runs import Run
from sat_exp.tracking.artifacts import lineage

CONFIG_KEYS = (
    *("task", "title", "command", "created", "choices", "versions", "hardware", "attack", "dataset"),
    "measured",
)
SMALL = 55
"""Of tables with up to so many rows (the pairs of a pool of ten with its diagonal) each row's numbers are summary
scalars as well."""
PAGE = "report.html"
PICTURES = ("clean", "adversarial")
NOT_FINDINGS = (
    *("models", "pairs", "components", "images", "store", "failures", "examples", "example_predictions"),
    "embedding",
)
"""The tables of a measurement, and coordinates; of all others the rows of small ones are what a study found."""


def config(client: wandb.Run, run: Run) -> None:
    """Fill the run's config with the choices, versions, commit and settings of summary.json; given values stay."""
    summary = run.summary
    recorded = {key: summary[key] for key in CONFIG_KEYS if key in summary}
    given = {key: value for key, value in client.config.items() if key != "_wandb"}
    settings = summary.get("settings", {})
    if filled(given, settings) != given:
        recorded["settings"] = settings
    client.config.update(filled(given, recorded), allow_val_change=True)


def tables(client: wandb.Run, run: Run) -> None:
    for name, frame in run.tables().items():
        if name != "examples":
            client.log({f"tables/{name}": table(frame)})


def examples(client: wandb.Run, run: Run) -> None:
    """The table of examples, with the images in place of the names of their files."""
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
    """The files of that suffix among a run's figures."""
    return [file for file in run.files if file.startswith("figures/") and file.endswith(suffix)]


def table(frame: pandas.DataFrame) -> wandb.Table:
    """The rows as plain Python values, exact, with None for missing."""
    rows = [[plain(value) for value in row] for row in frame.astype(object).to_numpy()]
    return wandb.Table(columns=[str(column) for column in frame.columns], data=rows)


def scalars(frames: Mapping[str, pandas.DataFrame], summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers worth comparing between runs; missing ones are left out."""
    numbers: dict[str, float] = {}
    labelled: dict[str, pandas.DataFrame] = {}
    if "models" in frames:
        models = frames["models"]
        labelled["models"] = models.set_axis([f"models/{model}" for model in models["model"]])
    if "pairs" in frames:
        pairs = frames["pairs"]
        labelled["pairs"] = pairs.set_axis([f"pairs/{a}/{b}" for a, b in pairs[["model_a", "model_b"]].to_numpy()])
    for name, frame in labelled.items():
        numeric = frame.select_dtypes(["number", "bool"])
        if name == "models" or len(frame) <= SMALL:
            for label, row in zip(numeric.index, numeric.to_dict("records"), strict=True):
                numbers.update({f"{label}/{column}": value for column, value in row.items()})
        averaged = numeric if name == "models" else numeric[frame["model_a"] != frame["model_b"]]
        for column in averaged.select_dtypes("floating"):
            if not str(column).endswith(("_low", "_high")):
                numbers[f"mean/{name}/{column}"] = averaged[column].mean()
    for name, frame in frames.items():
        if name not in NOT_FINDINGS and 0 < len(frame) <= SMALL:
            numbers.update(of_rows(name, frame))
    numbers.update({f"timings/{stage}": seconds for stage, seconds in summary.get("timings", {}).items()})
    numbers.update({f"planned/{stage}": seconds for stage, seconds in summary.get("planned_seconds", {}).items()})
    numbers["warnings"] = len(summary.get("warnings", []))
    known = {key: plain(value) for key, value in numbers.items()}
    return {key: value for key, value in known.items() if value is not None}


def of_rows(name: str, frame: pandas.DataFrame) -> dict[str, float]:
    """<table>/<row>/<column>, a row called by its first column and its other texts; nothing where two rows would be
    called the same."""
    first, *others = frame.columns
    texts = frame[others].select_dtypes(["object", "string", "category"]).columns
    rows = frame[[first, *texts]].astype(str).agg("/".join, axis=1)
    numeric = frame[others].select_dtypes(["number", "bool"])
    if rows.duplicated().any():
        return {}
    return {
        f"{name}/{row}/{column}": value
        for row, values in zip(rows, numeric.to_dict("records"), strict=True)
        for column, value in values.items()
    }


def plain(value: Any) -> Any:
    """A Python value in place of a numpy scalar; None in place of a missing one."""
    if value is None or value is pandas.NA:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


def filled(given: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the entries it lacks taken from `more`, at every depth."""
    result = dict(given)
    for key, value in more.items():
        if key not in result:
            result[key] = value
        elif isinstance(result[key], Mapping) and isinstance(value, Mapping):
            result[key] = filled(result[key], value)
    return result
