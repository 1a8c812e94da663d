"""Schemas of tables: the columns with their types, ranges and units, and what the page and W&B do with the table.

Nothing heavy is imported here; `checking` compares tables with their schemas.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Column:
    """The values that a column may hold.

    type: text, number or flag. low, high: the range of numbers. unit: of numbers; "" for fractions, counts and scores.
    required: no value is missing. name: every text is one line and not empty. optional: a table may lack the column.
    sat: the least number is the logarithm of the run's floor.
    """

    type: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    required: bool = False
    name: bool = False
    optional: bool = False
    sat: bool = False


@dataclass(frozen=True)
class Table:
    """The schema of a table.

    unique: columns that together identify a row; model_a and model_b in either order. at_most: pairs of columns of
    which the first is never above the second. least_rows: the fewest rows. open: other columns are allowed too.
    requires: tables that a run with this one has. coloured: columns of models that are drawn in their family's colour.
    finding: W&B gets the numbers of a small table as scalars. on_page: the page lists the table.
    """

    columns: Mapping[str, Column]
    unique: tuple[str, ...] = ()
    at_most: tuple[tuple[str, str], ...] = ()
    least_rows: int = 0
    open: bool = False
    requires: tuple[str, ...] = ()
    coloured: tuple[str, ...] = ()
    finding: bool = True
    on_page: bool = True


TEXT = Column("text")
NAME = Column("text", required=True, name=True)
FLAG = Column("flag", required=True)
NUMBER = Column("number")
COUNT = Column("number", low=0)
RANK = Column("number", low=1)
RATE = Column("number", 0, 1)
CORRELATION = Column("number", -1, 1)
CLASS = Column("number", low=-1, required=True)
"""A class by its index; -1: not evaluated."""
SAT = Column("number", high=math.log(100), sat=True)
SECONDS = Column("number", low=0, unit="s")
BYTES = Column("number", low=0, unit="bytes")


def columns(column: Column, names: str) -> dict[str, Column]:
    """One column of that kind for each of the names."""
    return dict.fromkeys(names.split(), column)


def with_interval(column: Column, names: str, ends: Column | None = None) -> dict[str, Column]:
    """Columns, each followed by NAME_low and NAME_high, the ends of its interval."""
    return {
        f"{name}{end}": ends or column if end else column for name in names.split() for end in ("", "_low", "_high")
    }


def optional(stated: Mapping[str, Column]) -> dict[str, Column]:
    """The same columns, each of which a table may lack."""
    return {name: replace(column, optional=True) for name, column in stated.items()}
