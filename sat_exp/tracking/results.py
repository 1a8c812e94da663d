"""What of a finished run folder goes to W&B, and under which stable keys.

run.config                 the config given at the start, filled up from summary.json
tables/<name>              wandb.Table, every row and column (missing numbers are empty cells)
figures/<name>, report     the PNG figures and report.html
run.summary                models/<model>/<column>, pairs/<a>/<b>/<column> (small pools), mean/<table>/<column>,
                           timings/<stage>, warnings (their number)
artifact <job type>-<name> tables, summary.json, examples.npz, predictions.npz, versioned by W&B
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import wandb

CONFIG_KEYS = ("task", "title", "command", "created", "choices", "versions", "hardware", "attack", "dataset")
PAIR_SCALARS = 55
"""Up to so many pairs (a pool of ten with its diagonal), each pair's numbers are summary scalars as well as rows."""


def config(client: wandb.Run, folder: Path) -> None:
    """Fill the run's config with the choices, versions, commit and settings of summary.json; given values stay."""
    summary = read_summary(folder)
    recorded = {key: summary[key] for key in CONFIG_KEYS if key in summary}
    given = {key: value for key, value in client.config.items() if key != "_wandb"}
    settings = summary.get("settings", {})
    if filled(given, settings) != given:
        recorded["settings"] = settings
    client.config.update(filled(given, recorded), allow_val_change=True)


def tables(client: wandb.Run, folder: Path) -> None:
    for name, frame in read_tables(folder).items():
        client.log({f"tables/{name}": wandb.Table(columns=list(frame.columns), data=rows(frame))})


def figures(client: wandb.Run, folder: Path) -> None:
    images = {f"figures/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("figures/*.png"))}
    if images:
        client.log(images)


def report(client: wandb.Run, folder: Path) -> None:
    page = folder / "report.html"
    if page.exists():
        client.log({"report": wandb.Html(page, inject=False)})


def key_numbers(client: wandb.Run, folder: Path) -> None:
    client.summary.update(scalars(read_tables(folder), read_summary(folder)))


def artifact(client: wandb.Run, folder: Path) -> None:
    """One artifact a job: the same job run again makes the next version, and W&B stores only files that changed."""
    label = "-".join(part for part in (client.job_type, client.name) if part)
    made = wandb.Artifact(re.sub(r"[^A-Za-z0-9._-]+", "-", label)[:128], type="results")
    for path in [*sorted(folder.glob("tables/*")), *sorted(folder.glob("*.npz")), folder / "summary.json"]:
        if path.is_file():
            made.add_file(str(path), name=path.relative_to(folder).as_posix(), skip_cache=True)
    if made.manifest.entries:
        client.log_artifact(made)


UPLOADS = (config, tables, figures, report, key_numbers, artifact)


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
        if name == "models" or len(frame) <= PAIR_SCALARS:
            for label, row in zip(numeric.index, numeric.to_dict("records"), strict=True):
                numbers.update({f"{label}/{column}": value for column, value in row.items()})
        averaged = numeric if name == "models" else numeric[frame["model_a"] != frame["model_b"]]
        for column in averaged.select_dtypes("floating"):
            if not str(column).endswith(("_low", "_high")):
                numbers[f"mean/{name}/{column}"] = averaged[column].mean()
    numbers.update({f"timings/{stage}": seconds for stage, seconds in summary.get("timings", {}).items()})
    numbers["warnings"] = len(summary.get("warnings", []))
    return {key: plain(value) for key, value in numbers.items() if value is not None and not math.isnan(value)}


def rows(frame: pandas.DataFrame) -> list[list[Any]]:
    """The rows as plain Python values, exact, with None for missing."""
    return [[plain(value) for value in row] for row in frame.astype(object).to_numpy()]


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


def read_tables(folder: Path) -> dict[str, pandas.DataFrame]:
    """Every table of a run folder by name; the Parquet file where there is one, else the CSV file."""
    found: dict[str, pandas.DataFrame] = {}
    for path in sorted(folder.glob("tables/*.csv")):
        if not path.with_suffix(".parquet").exists():
            found[path.stem] = pandas.read_csv(path)
    for path in sorted(folder.glob("tables/*.parquet")):
        found[path.stem] = pandas.read_parquet(path)
    return found


def read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    return json.loads(path.read_text()) if path.exists() else {}
