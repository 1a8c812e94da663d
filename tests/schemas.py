"""Tables that fit their schemas, for tests that need a table but not its numbers."""

from typing import Any

import numpy as np
import pandas as pd

from sat_exp.runs import registry
from sat_exp.runs.schema import Column


def table_of(name: str, rows: int = 3, **values: Any) -> pd.DataFrame:
    """A table of that name: texts a0, a1, …, numbers 0 or the least allowed one, different ones where they identify a
    row; `values`: other columns, or other values of a column."""
    schema = registry.table(name)
    made = {column: _values(kind, column in schema.unique, rows) for column, kind in schema.columns.items()}
    return pd.DataFrame(made | values, index=range(rows))


def _values(column: Column, differ: bool, rows: int) -> list[Any]:
    if column.type == "text":
        return [f"a{row}" for row in range(rows)]
    if column.type == "flag":
        return [True] * rows
    least = float(np.clip(0, column.low, column.high))
    return [min(least + row * differ, column.high) for row in range(rows)]
