"""Installed packages that add attacks, models, measures, data sets and studies, found by their entry points.

A plug-in states `NAME = "package.module:object"` under one of `GROUPS` in its own `pyproject.toml`. Nothing is imported
until it is needed; one that cannot be imported is named in a warning and left out. A folder `conf` in the package
adds choices for the command line.
"""

import logging
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sat_exp.errors import one_line

log = logging.getLogger(__name__)

GROUPS = ("sat_exp.attacks", "sat_exp.models", "sat_exp.measures", "sat_exp.datasets", "sat_exp.studies")


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package, not imported yet. package: its top-level package."""

    group: str
    name: str
    point: EntryPoint

    @property
    def package(self) -> str:
        return self.point.module.partition(".")[0]

    @property
    def conf(self) -> Path | None:
        """The folder of configurations in the package; None where it has none."""
        spec = find_spec(self.package)
        places = [] if spec is None else list(spec.submodule_search_locations or [])
        return next((Path(place) / "conf" for place in places if (Path(place) / "conf").is_dir()), None)


@cache
def installed(group: str) -> tuple[Plugin, ...]:
    """The plug-ins of a group, by name. A package that only lies in the current folder is not installed."""
    here = Path.cwd().resolve()
    return tuple(
        Plugin(group, point.name, point)
        for point in sorted(entry_points(group=group), key=lambda point: point.name)
        if point.dist is not None and Path(str(point.dist.locate_file(""))).resolve() != here
    )


@cache
def loaded(group: str) -> dict[str, Any]:
    """The objects that the plug-ins of a group name, by name; one that cannot be imported is named in a warning."""
    found = {}
    for plugin in installed(group):
        try:
            found[plugin.name] = plugin.point.load()
        except Exception as error:
            log.warning("plug-in %s (%s) cannot be imported: %s", plugin.name, plugin.point.value, one_line(error))
    return found
