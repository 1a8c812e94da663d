"""What tasks print: text as it is, whatever it holds, for names may come from files of others."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


def console() -> Console:
    """A console that takes no word for a mark-up, a link or an emoji."""
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def caution(text: str) -> Text:
    return Text.assemble(("caution:", "yellow"), " ", text)


def damaged(text: str) -> Text:
    return Text.assemble(("damaged:", "red"), " ", text)


def table(title: str, *texts: str | Column, numbers: Sequence[str]) -> Table:
    """An empty table with columns of texts, then columns of numbers."""
    columns = (Column(name, justify="right") for name in numbers)
    return Table(*texts, *columns, title=title, title_justify="left")
