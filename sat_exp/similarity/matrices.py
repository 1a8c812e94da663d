"""Tables that others made, as CSV files: a row and a column for each name."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from sat_exp import files
from sat_exp.errors import UserError, nearest

MOST = 64 << 20
"""Bytes: a matrix of three thousand models."""

LONGEST = 300
"""Characters of a name."""

MISSING = ("", "nan", "NaN", "NA", "null")


def read(path: Path, what: str) -> pd.DataFrame:
    """The texts in a CSV file whose first row and column are names; an index and columns without repetition.

    UserError, which says what to give instead, for a file that is missing, no regular one, too large or no such table.
    """
    try:
        content = files.contents(path, MOST).decode("utf-8-sig")
        if "\0" in content:
            raise ValueError("it is binary")
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row]
    except FileNotFoundError:
        raise UserError(f"no file {path}{near(path)}: give {what}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read as CSV ({error.strerror}): give {what}") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV ({' '.join(str(error).split())[:100]}): give {what}") from error
    if len(rows) < 2 or len(rows[0]) < 2:
        raise UserError(f"{path} cannot be read as CSV (no rows or no columns): give {what}")
    wide = next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if wide is not None:
        raise UserError(f"{path} has {len(rows[wide - 1])} entries in row {wide}, where {len(rows[0])} belong")
    table = pd.DataFrame([row[1:] for row in rows[1:]], dtype=object)
    for axis, names in (("index", [row[0] for row in rows[1:]]), ("columns", rows[0][1:])):
        table = table.set_axis(checked([name.strip() for name in names], path), axis=axis)  # type: ignore[arg-type]
    return table


def near(path: Path) -> str:
    names = nearest(path.name, [file.name for file in path.parent.glob("*.csv")], most=1)
    return f"; did you mean {path.with_name(names[0])}?" if names else ""


def checked(names: list[str], path: Path) -> list[str]:
    """`names`; UserError for one that is empty, no plain text on one line, or there twice."""
    seen = set()
    for name in names:
        if not name or not name.isprintable() or len(name) > LONGEST:
            raise UserError(f"{path} has the name {name[:40]!r}: give names of 1 to {LONGEST} printable characters")
        if name in seen:
            raise UserError(f"{path} has {name} twice: leave one of them out")
        seen.add(name)
    return names


def numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The finite numbers that the texts in `table` are, float64, NaN where one is missing; UserError for others."""
    values = np.full(table.shape, np.nan)
    for row, texts in enumerate(table.to_numpy()):
        for column, text in enumerate(texts):
            try:
                value = np.nan if text.strip() in MISSING else float(text)
                wrong = text.strip() not in MISSING and not np.isfinite(value)
            except ValueError:
                wrong = True
            if wrong:
                raise UserError(
                    f"{path} has {text[:40]!r} at {table.index[row]}, {table.columns[column]}: give a number"
                )
            values[row, column] = value
    return pd.DataFrame(values, table.index, table.columns)
