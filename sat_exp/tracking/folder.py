"""What a finished run folder holds, read without knowing how it came about."""

import json
import re
from pathlib import Path
from typing import Any

import pandas

TIME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")


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
    return read_json(folder / "summary.json")


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def measured(folder: Path) -> Path | None:
    """The run folder, or the CSV file of a matrix, that a study is about; None for what is no study."""
    place = read_summary(folder).get("measured")
    return None if place is None else Path(place)


def label(folder: Path) -> str:
    """A name for what a run made that does not change with the time: the run's own, in which a time of day gives way to
    what it was made from. So attack/2026-01-02_03-04-05 is attack/fashion_mnist-00ff12ab."""
    if folder.is_file():
        return folder.stem
    name = str(read_json(folder / "tracking.json").get("name") or folder.absolute().name)
    place = measured(folder)
    source = dataset_label(folder) if place is None else label(place)
    return TIME.sub(lambda _: source, name)


def dataset_label(folder: Path) -> str:
    """The data set's name and the beginning of its images' digest."""
    dataset = read_summary(folder).get("dataset", {})
    return "-".join(part for part in (str(dataset.get("name", "")), str(dataset.get("digest", ""))[:8]) if part)
