"""Schemas of tables: the columns with their types, ranges and units, and what the page and W&B do with the table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sat_exp.runs import text

ROUNDING = 1e-6
"""How far a number may be outside its range."""


def is_text(column: pd.Series) -> bool:
    return all(isinstance(value, str) for value in column.dropna())


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


TYPES: dict[str, tuple[Callable[[pd.Series], bool], str]] = {
    "text": (is_text, "text"),
    "number": (is_number, "numbers"),
    "flag": (pd.api.types.is_bool_dtype, "true and false"),
}
"""By type: the test of a column, and the word for its values."""


@dataclass(frozen=True)
class Column:
    """The values that a column may hold.

    type: text, number or flag. low, high: the range of numbers. unit: of numbers; "" for fractions, counts and scores.
    required: no value is missing. name: every text is one line and not empty. optional: a table may lack the column.
    sat: the least number is the logarithm of the run's floor.
    """

    type: str
    low: float = -np.inf
    high: float = np.inf
    unit: str = ""
    required: bool = False
    name: bool = False
    optional: bool = False
    sat: bool = False

    def fault(self, column: pd.Series, floor: float) -> str | None:
        """What is wrong with the values of a column of the right type; `floor`: the least SAT."""
        values = column.dropna()
        if self.required and len(values) < len(column):
            return "a value is missing"
        if self.name:
            return next(filter(None, (text.faults(value, name=True) for value in text.texts(values))), None)
        if self.type != "number" or values.empty:
            return None
        low, numbers = (floor if self.sat else self.low), values.to_numpy(np.float64)
        within = np.isfinite(numbers) & (numbers >= low - ROUNDING) & (numbers <= self.high + ROUNDING)
        return None if within.all() else f"{numbers[~within][0]:g} is not {self.range(low)}"

    def range(self, low: float) -> str:
        """The allowed numbers in words."""
        if np.isfinite(low) and np.isfinite(self.high):
            return f"from {low:.4g} to {self.high:.4g}"
        return f"{low:g} or more" if np.isfinite(low) else "a finite number"

    def fits(self, column: pd.Series) -> bool:
        """Whether a column has the type. A column without any value has every type."""
        if column.isna().all() and len(column):
            return not self.required
        return TYPES[self.type][0](column)


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
SAT = Column("number", high=float(np.log(100)), sat=True)
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

    def fault(self, table: pd.DataFrame, floor: float) -> str | None:
        """The first thing in which a table differs from the schema, None for a sound table; `floor`: the least SAT."""
        return next(self.faults(table, floor), None)

    def faults(self, table: pd.DataFrame, floor: float) -> Iterator[str]:
        if not table.columns.is_unique:
            yield f"column {table.columns[table.columns.duplicated()][0]} twice"
            return
        for name, column in self.columns.items():
            if name not in table:
                if not column.optional:
                    yield f"no column {name}"
            elif not column.fits(table[name]):
                yield f"a column {name} of another type than {TYPES[column.type][1]}"
            elif fault := column.fault(table[name], floor):
                yield f"a bad {name}: {fault}"
        for part, whole in self.at_most:
            if (table[part] > table[whole]).any():
                yield f"more {part} than {whole}"
        if len(table) < self.least_rows:
            yield f"{len(table)} rows, where {self.least_rows} are the least"
        if repeated := self.repeated(table):
            yield repeated

    def unstated(self, table: pd.DataFrame) -> list[str]:
        """The columns of a table that the schema does not state."""
        return [] if self.open else [str(name) for name in table if name not in self.columns]

    def repeated(self, table: pd.DataFrame) -> str | None:
        """The first row that is there twice by the columns of `unique`."""
        keys = [key for key in self.unique if key in table]
        if not keys or not len(table):
            return None
        rows = table[keys].copy()
        if {"model_a", "model_b"} <= set(keys):
            ordered = np.sort(rows[["model_a", "model_b"]].to_numpy(str), axis=1)
            rows["model_a"], rows["model_b"] = ordered[:, 0], ordered[:, 1]
        twice = rows[rows.duplicated()]
        return None if twice.empty else f"{' and '.join(str(value) for value in twice.iloc[0])} twice"
