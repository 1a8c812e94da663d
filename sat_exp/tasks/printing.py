"""What tasks print: text as it is, whatever it holds, because names may come from other people's files."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text, TextType

FRAME = 3  # characters of the padding and the border of a column; a table has one more border


def console() -> Console:
    """A console that takes no word for a mark-up, a link or an emoji."""
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def caution(text: str) -> Text:
    return Text.assemble(("caution:", "yellow"), " ", text)


@dataclass(frozen=True)
class Column:
    """A column of a table. heading: of one or more lines. cells: as printed, one per row."""

    heading: str
    cells: Sequence[str | Text]
    number: bool

    @property
    def least(self) -> int:
        """The width at which no word is broken; a number is one word."""
        texts = [str(cell) for cell in self.cells]
        words = [*self.heading.split(), *(texts if self.number else (word for text in texts for word in text.split()))]
        return max(map(cell_len, words), default=1)

    @property
    def natural(self) -> int:
        """The width at which nothing is wrapped."""
        return max(map(cell_len, [*self.heading.split("\n"), *map(str, self.cells)]))


class WholeWords(Table):
    """A table in which no word is broken. Columns that do not fit the width are in a further table below, after the
    columns of texts with which the rows begin."""

    def __init__(self, title: str, stated: Sequence[Column]) -> None:
        super().__init__(title=title)
        self.stated = stated

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        blocks = self.blocks(options.max_width)
        for number, block in enumerate(blocks):
            yield part(None if number else self.title, block, options.max_width)

    def blocks(self, width: int) -> list[list[Column]]:
        """The columns of each table."""
        keys = list(takewhile(lambda column: not column.number, self.stated))
        keys = keys[: -1 if len(keys) == len(self.stated) > 1 else None]
        blocks = [keys]
        for column in self.stated[len(keys) :]:
            if len(blocks[-1]) > len(keys) and outer([*blocks[-1], column]) > width:
                blocks.append(keys)
            blocks[-1] = [*blocks[-1], column]
        return blocks


def outer(columns: Sequence[Column]) -> int:
    """The least width of a table."""
    return sum(column.least + FRAME for column in columns) + 1


def part(title: TextType | None, columns: Sequence[Column], width: int) -> Table:
    """A table of `columns`, each as wide as it needs to be, as far as `width` allows."""
    printed = Table(title=title, title_justify="left")
    spare = width - outer(columns)
    for column in columns:
        more = max(0, min(spare, column.natural - column.least))
        spare -= more
        justify: Any = "right" if column.number else "left"
        printed.add_column(
            column.heading, justify=justify, overflow="fold", width=column.least + more if spare >= 0 else None
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        printed.add_row(*cells)
    return printed


def table(title: str, rows: pd.DataFrame, formats: Mapping[str, str]) -> Table:
    """A table of some columns of `rows`. formats: for each column "" for texts; else the format of its entries, which
    are aligned at the right, "–" where missing."""
    return WholeWords(
        title,
        [
            Column(name.replace("_", "\n"), [cell(value, form) for value in rows[name]], number=bool(form))
            for name, form in formats.items()
        ],
    )


def cell(value: Any, form: str) -> str | Text:
    if not form:
        return value if isinstance(value, Text) else str(value)
    return "–" if pd.isna(value) else format(value, form)
