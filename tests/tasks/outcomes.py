"""What a command has written."""

import re
from pathlib import Path

import pandas as pd


def folder_of(outcome):
    """The run's folder, from the last line that a run prints."""
    return Path(re.search(r"report: (.+)/report\.html", outcome.text)[1])


def tables(outcome):
    return {name: pd.read_parquet(folder_of(outcome) / f"tables/{name}.parquet") for name in ("models", "pairs")}
