"""Text in the files of a run: none that a terminal would obey, or that would read otherwise than it is written."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

LONGEST = 20_000
"""Characters of a text; a command that names many models is long."""

LONGEST_NAME = 300
"""Characters of the name of a model, a family, a file and the like."""

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\N{LEFT-TO-RIGHT EMBEDDING}-\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}-\N{POP DIRECTIONAL ISOLATE}\ud800-\udfff]"
)
"""Control characters but tab and newline, those that turn the direction of writing, and halves of surrogates."""


def faults(text: str, *, name: bool = False) -> str | None:
    """What is wrong with a text, or with a name, which is on one line and not empty; None where nothing is."""
    if OBEYED.search(text) or (name and ("\n" in text or "\t" in text)):
        return f"{shown(text)} has control characters"
    if len(text) > (LONGEST_NAME if name else LONGEST):
        return f"{shown(text)} has {len(text):,} characters"
    return "it is empty" if name and not text.strip() else None


def shown(value: Any) -> str:
    """A value as it is written in a program, cut where it is long."""
    text = repr(value) if repr(value).isprintable() else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def cleaned(value: Any) -> Any:
    """`value` with � for each character in a text that `faults` would refuse, and long texts cut."""
    if isinstance(value, str):
        return OBEYED.sub("\N{REPLACEMENT CHARACTER}", value)[:LONGEST]
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(item) for item in value]
    return value


def texts(column: pd.Series) -> np.ndarray:
    """The different texts in a column, an array of them."""
    return np.array([value for value in column.unique() if isinstance(value, str)], object)


def cleaned_table(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with `cleaned` texts."""
    changed = {
        name: column.map(cleaned, na_action="ignore")
        for name, column in table.items()
        if any(cleaned(text) != text for text in texts(column) if column.dtype.kind not in "biufc")
    }
    return table.assign(**changed)  # type: ignore[arg-type]
