"""Tables of a run: Parquet with a checksum of every page, compared with their schemas.

A fault in a run that is written is a mistake in the program; a run that is read may come from other people.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from sat_exp.runs import registry, text
from sat_exp.runs.schema import Column, Table
from sat_exp.similarity import SAT_FLOOR

MOST_CELLS = 100_000_000
MOST_COLUMNS = 2_000
MOST_BYTES = 2 << 30  # of a table whose pages are unpacked
ROUNDING = 1e-6  # how far a number may be outside its range
SIMPLE = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)

TYPES: dict[str, tuple[Callable[[pd.Series], bool], str]] = {
    "text": (lambda column: all(isinstance(value, str) for value in column.dropna()), "text"),
    "number": (
        lambda column: pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column),
        "numbers",
    ),
    "flag": (pd.api.types.is_bool_dtype, "true and false"),
}
"""By type: the test of a column, and the word for its values."""


def write(table: pd.DataFrame, file: Path) -> None:
    table.to_parquet(file, index=False, write_page_checksum=True)


def decoded(content: bytes) -> pd.DataFrame:
    """The table in the bytes of a Parquet file. ValueError for other bytes, for a table that is too large, packed or
    unpacked, for columns that are neither text, numbers nor flags, and for texts with control characters."""
    try:
        check(content)
        return pd.read_parquet(BytesIO(content))
    except (pa.ArrowException, OSError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"is no table ({text.quoted(' '.join(str(error).split()))})") from error


def check(content: bytes) -> None:
    """ValueError for a table that `decoded` refuses. A text that is in a column many times is checked once."""
    with parquet.ParquetFile(BytesIO(content)) as file:
        facts = file.metadata
        groups = [facts.row_group(group).total_byte_size for group in range(facts.num_row_groups)]
        if facts.num_columns > MOST_COLUMNS or facts.num_rows * max(1, facts.num_columns) > MOST_CELLS:
            raise ValueError(f"has {facts.num_rows:,} rows of {facts.num_columns:,} columns, which is too much")
        if sum(groups) > MOST_BYTES or min(groups, default=0) < 0:
            raise ValueError(f"is too large: {sum(groups):,} bytes unpacked")
        fields = list(file.schema_arrow)
    words = [field.name for field in fields if is_text(field.type)]
    for field in fields:
        if field.name not in words and not any(fits(field.type) for fits in SIMPLE):
            raise ValueError(f"has a column {text.quoted(field.name)} of neither text, numbers nor flags")
        if fault := text.faults(field.name, name=True):
            raise ValueError(f"has a bad column: {fault}")
    with parquet.ParquetFile(BytesIO(content), read_dictionary=words, page_checksum_verification=True) as file:
        for batch in file.iter_batches(65_536):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                values = column.dictionary.drop_null().to_pylist() if pa.types.is_dictionary(column.type) else []
                if fault := next(filter(None, map(text.faults, values)), None):
                    raise ValueError(f"has a bad {name}: {fault}")


def is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(value) or pa.types.is_large_string(value)


def fault(name: str, table: pd.DataFrame, summary: Mapping[str, Any]) -> str | None:
    """The first thing in which a table differs from the schema of its name; None for a sound or an unknown table."""
    floor = (summary.get("settings", {}).get("score") or {}).get("floor", SAT_FLOOR)
    return next(faults(registry.table(name), table, float(np.log(floor))), None)


def incomplete(names: Collection[str]) -> str | None:
    """The first table that a run has without another one that it requires; None where there is none."""
    missing = ((name, other) for name in names for other in registry.table(name).requires if other not in names)
    return next((f"tables/{name} without tables/{other}" for name, other in missing), None)


def check_written(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> None:
    """ValueError for a table without a schema, and for one that differs from its schema."""
    for name, table in tables.items():
        if name not in registry.tables():
            raise ValueError(f"tables/{name} has no schema: state it in the tables of the study that writes it")
        schema = registry.table(name)
        if not schema.open and (unstated := [column for column in table if column not in schema.columns]):
            raise ValueError(f"tables/{name} has a column {unstated[0]} that its schema does not state")
        if wrong := fault(name, table, summary):
            raise ValueError(f"tables/{name} has {wrong}")
    if wrong := incomplete(tables):
        raise ValueError(f"a run has {wrong}")


def faults(schema: Table, table: pd.DataFrame, floor: float) -> Iterator[str]:
    """Everything in which a table differs from a schema; `floor`: the least SAT."""
    if not table.columns.is_unique:
        yield f"column {table.columns[table.columns.duplicated()][0]} twice"
        return
    for name, column in schema.columns.items():
        if name not in table:
            if not column.optional:
                yield f"no column {name}"
        elif not _fits(column, table[name]):
            yield f"a column {name} of another type than {TYPES[column.type][1]}"
        elif wrong := _wrong(column, table[name], floor):
            yield f"a bad {name}: {wrong}"
    for part, whole in schema.at_most:
        if (table[part] > table[whole]).any():
            yield f"more {part} than {whole}"
    if len(table) < schema.least_rows:
        yield f"{len(table)} rows, where {schema.least_rows} are the least"
    if wrong := _repeated(table, [key for key in schema.unique if key in table]):
        yield wrong


def _fits(column: Column, values: pd.Series) -> bool:
    """Whether a column has the type; one without any value has every type."""
    if values.isna().all() and len(values):
        return not column.required
    return TYPES[column.type][0](values)


def _wrong(column: Column, series: pd.Series, floor: float) -> str | None:
    """What is wrong with the values of a column of the right type."""
    values = series.dropna()
    if column.required and len(values) < len(series):
        return "a value is missing"
    if column.name:
        return next(filter(None, (text.faults(value, name=True) for value in text.texts(values))), None)
    if column.type != "number" or values.empty:
        return None
    low, numbers = (floor if column.sat else column.low), values.to_numpy(np.float64)
    within = np.isfinite(numbers) & (numbers >= low - ROUNDING) & (numbers <= column.high + ROUNDING)
    if within.all():
        return None
    if np.isfinite(low) and np.isfinite(column.high):
        allowed = f"from {low:.4g} to {column.high:.4g}"
    else:
        allowed = f"{low:g} or more" if np.isfinite(low) else "a finite number"
    return f"{numbers[~within][0]:g} is not {allowed}"


def _repeated(table: pd.DataFrame, keys: list[str]) -> str | None:
    """The first row that is there twice by the columns `keys`."""
    if not keys or not len(table):
        return None
    rows = table[keys].copy()
    if {"model_a", "model_b"} <= set(keys):
        ordered = np.sort(rows[["model_a", "model_b"]].to_numpy(str), axis=1)
        rows["model_a"], rows["model_b"] = ordered[:, 0], ordered[:, 1]
    twice = rows[rows.duplicated()]
    return None if twice.empty else f"{' and '.join(str(value) for value in twice.iloc[0])} twice"
