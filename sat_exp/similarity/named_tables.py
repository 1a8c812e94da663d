"""Tables from CSV files of other people: a header of column names, and a name at the start of each row."""

import csv
import io
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from sat_exp import files
from sat_exp.errors import UserError, nearest

MOST = 64 << 20  # bytes: a matrix of three thousand models
LONGEST = 300  # characters of a name
MISSING = ("", "nan", "NaN", "NA", "null")


def read(path: Path, what: str) -> pd.DataFrame:
    """The texts in a CSV file; the index and the columns are the names, each unique. what: the table that errors ask
    for. UserError for a file that is missing, not regular, too large or no such table."""
    try:
        content = files.contents(path, MOST).decode("utf-8-sig")
        if "\0" in content:
            raise ValueError("it is binary")
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row]
        if len(rows) < 2 or len(rows[0]) < 2:
            raise ValueError("no rows or no columns")
    except FileNotFoundError:
        names = nearest(path.name, (file.name for file in path.parent.glob("*.csv")), most=1)
        hint = f"; did you mean {path.with_name(names[0])}?" if names else ""
        raise UserError(f"no file {path}{hint}: give {what}") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())[:100]
        raise UserError(f"{path} cannot be read as CSV ({reason}): give {what}") from error
    header, *entries = rows
    for number, row in enumerate(entries, 2):
        if len(row) != len(header):
            raise UserError(f"{path} has {len(row)} entries in row {number}, where {len(header)} belong")
    index = unique([row[0].strip() for row in entries], path)
    columns = unique([name.strip() for name in header[1:]], path)
    return pd.DataFrame([row[1:] for row in entries], index, columns, dtype=object)


def unique(names: list[str], path: Path) -> list[str]:
    """`names`; UserError for a name that is empty, too long, not printable, or repeated."""
    seen = set()
    for name in names:
        if not name or not name.isprintable() or len(name) > LONGEST:
            raise UserError(f"{path} has the name {name[:40]!r}: give names of 1 to {LONGEST} printable characters")
        if name in seen:
            raise UserError(f"{path} has {name} twice: leave one of them out")
        seen.add(name)
    return names


def numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The texts of a table as finite numbers, float64, NaN where one is missing; UserError for any other text."""
    values = np.full(table.shape, np.nan)
    for (row, column), text in np.ndenumerate(table.to_numpy()):
        if text.strip() in MISSING:
            continue
        with suppress(ValueError):
            values[row, column] = float(text)
        if not math.isfinite(values[row, column]):
            place = f"{table.index[row]}, {table.columns[column]}"
            raise UserError(f"{path} has {text[:40]!r} at {place}: give a number")
    return pd.DataFrame(values, table.index, table.columns)
