"""Text in the files of a run, without control characters and characters that change the direction of writing."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

LONGEST = 20_000
"""Characters of a text. A command that names many models is long."""

LONGEST_NAME = 300  # characters of a name, such as that of a model, a family or a file

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\N{LEFT-TO-RIGHT EMBEDDING}-\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}-\N{POP DIRECTIONAL ISOLATE}\ud800-\udfff]"
)
"""Control characters except tab and newline, characters that change the direction of writing, and lone surrogates."""


def faults(text: str, *, name: bool = False) -> str | None:
    """What is wrong with a text, or with a name, which is one line and not empty; None for a sound one."""
    if OBEYED.search(text) or (name and ("\n" in text or "\t" in text)):
        return f"{quoted(text)} has control characters"
    if len(text) > (LONGEST_NAME if name else LONGEST):
        return f"{quoted(text)} has {len(text):,} characters"
    return "it is empty" if name and not text.strip() else None


def quoted(value: Any) -> str:
    """A value as in the source of a program, cut after 60 characters."""
    text = repr(value) if repr(value).isprintable() else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def cleaned(value: Any) -> Any:
    """`value` with � for each character that `faults` refuses, and long texts cut."""
    if isinstance(value, str):
        return OBEYED.sub("\N{REPLACEMENT CHARACTER}", value)[:LONGEST]
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(item) for item in value]
    return value


def texts(column: pd.Series) -> list[str]:
    """The different texts in a column."""
    return [] if column.dtype.kind in "biufc" else [value for value in column.unique() if isinstance(value, str)]


def cleaned_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table with `cleaned` texts."""
    changed = [name for name, column in table.items() if any(cleaned(text) != text for text in texts(column))]
    return table.assign(**{str(name): table[name].map(cleaned, na_action="ignore") for name in changed})
