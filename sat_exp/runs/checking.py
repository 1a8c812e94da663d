"""Tables against their schemas: when a run is written, where a fault is a mistake in the program, and when it is read,
because a run may come from other people."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sat_exp.runs import registry
from sat_exp.similarity import SAT_FLOOR


def fault(name: str, table: pd.DataFrame, summary: Mapping[str, Any]) -> str | None:
    """The first thing in which a table differs from the schema of its name; None for a sound or an unknown table."""
    floor = (summary.get("settings", {}).get("score") or {}).get("floor", SAT_FLOOR)
    return registry.table(name).fault(table, float(np.log(floor)))


def incomplete(names: Collection[str]) -> str | None:
    """The first table that a run has without another one that it requires; None where there is none."""
    for name in names:
        for other in registry.table(name).requires:
            if other not in names:
                return f"tables/{name} without tables/{other}"
    return None


def check_written(tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> None:
    """ValueError for a table without a schema, and for one that differs from its schema."""
    for name, table in tables.items():
        if name not in registry.tables():
            raise ValueError(f"tables/{name} has no schema: state it in the tables of the study that writes it")
        if unstated := registry.table(name).unstated(table):
            raise ValueError(f"tables/{name} has a column {unstated[0]} that its schema does not state")
        if found := fault(name, table, summary):
            raise ValueError(f"tables/{name} has {found}")
    if found := incomplete(tables):
        raise ValueError(f"a run has {found}")
