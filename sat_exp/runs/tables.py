"""Tables as Parquet: written with a checksum of every page, and checked before they are read."""

from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from sat_exp.runs import text

MOST_CELLS = 100_000_000
MOST_COLUMNS = 2_000
MOST_BYTES = 2 << 30
"""Of a table whose pages are unpacked."""


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
    wrong = [field.name for field in fields if not simple(field.type)]
    if wrong:
        raise ValueError(f"has a column {text.quoted(wrong[0])} of neither text, numbers nor flags")
    if unclear := next(filter(None, (text.faults(field.name, name=True) for field in fields)), None):
        raise ValueError(f"has a bad column: {unclear}")
    words = [field.name for field in fields if is_text(field.type)]
    with parquet.ParquetFile(BytesIO(content), read_dictionary=words, page_checksum_verification=True) as file:
        for batch in file.iter_batches(65_536):
            check_texts(batch)


def check_texts(batch: pa.RecordBatch) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            for value in column.dictionary.to_pylist():
                if value is not None and (fault := text.faults(value)):
                    raise ValueError(f"has a bad {name}: {fault}")


def simple(kind: pa.DataType) -> bool:
    return is_text(kind) or any(
        fits(kind) for fits in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    )


def is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(value) or pa.types.is_large_string(value)
