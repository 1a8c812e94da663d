"""The registry of studies: the package's own and those of plug-ins, with their tables and figures.

Importing a study's package loads neither torch nor matplotlib: its figures are named and imported when they are drawn.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.runs import schema
from sat_exp.runs.schema import Table

STUDIES = "sat_exp.studies"


@dataclass(frozen=True)
class Study:
    """A task that studies measured models.

    name: of the task. question: one line. tables: the schemas of its own tables by name. drawings:
    "package.module:function", a function of a run's `Results` that returns its figures by name, {} for a run that is no
    such study; "" without figures. choices: the groups of the command line that it uses. computes: whether it runs a
    model. pool_replaces_model: whether a pool takes the place of `model=`.
    """

    name: str
    question: str
    tables: Mapping[str, Table]
    drawings: str = ""
    choices: frozenset[str] = frozenset()
    computes: bool = True
    pool_replaces_model: bool = False

    def drawer(self) -> Callable[[Any], Mapping[str, Any]]:
        """The function that `drawings` names."""
        return pkgutil.resolve_name(self.drawings) if self.drawings else lambda results: {}


@cache
def studies() -> tuple[Study, ...]:
    """All studies, the package's own first; UserError where two have one name, or a table of one name."""
    package = import_module(STUDIES)
    own = [import_module(f"{STUDIES}.{module.name}").STUDY for module in pkgutil.iter_modules(package.__path__)]
    registered = (*own, *plugins.loaded(STUDIES, Study).values())
    names: set[str] = set()
    owners = dict.fromkeys(schema.TABLES, "a measurement")
    for study in registered:
        if study.name in names:
            raise UserError(f"two studies are called {study.name}: remove one of the plug-ins")
        names.add(study.name)
        for name in study.tables:
            if name in owners:
                raise UserError(f"the study {study.name} and {owners[name]} both state a table {name}: rename one")
            owners[name] = f"the study {study.name}"
    return registered


@cache
def tables() -> dict[str, Table]:
    """The schema of every table by name: those of a measurement and of all studies."""
    return schema.TABLES | {name: table for study in studies() for name, table in study.tables.items()}


def table(name: str) -> Table:
    """The schema of a table; one that states nothing for a name that is in no schema."""
    return tables().get(name, Table({}, open=True))
