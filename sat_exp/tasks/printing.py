"""What tasks print: text as it is, whatever it holds, for names may come from files of others."""

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """A console that takes no word for a mark-up, a link or an emoji."""
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def caution(text: str) -> Text:
    return Text.assemble(("caution:", "yellow"), " ", text)


def table(title: str, rows: pd.DataFrame, formats: Mapping[str, str]) -> Table:
    """A table of some columns of `rows`. formats: for each column "" for texts; else the format of its entries, which
    are aligned at the right, "–" where missing."""
    printed = Table(title=title, title_justify="left")
    for name, form in formats.items():
        printed.add_column(name.replace("_", "\n"), justify="right" if form else "left", overflow="fold")
    for values in zip(*(rows[name] for name in formats), strict=True):
        printed.add_row(*map(cell, values, formats.values()))
    return printed


def cell(value: Any, form: str) -> str | Text:
    if not form:
        return value if isinstance(value, Text) else str(value)
    return "–" if pd.isna(value) else format(value, form)
