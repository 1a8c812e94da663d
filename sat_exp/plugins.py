"""Installed packages that add attacks, models, measures, data sets and studies, found by their entry points.

A plug-in states `NAME = "package.module:object"` under one of `GROUPS` in its own `pyproject.toml`. Nothing is imported
until it is needed. A plug-in that cannot be imported is named in a warning and left out. The folder `conf` of its
package, where it has one, adds choices for the command line.
"""

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from sat_exp.errors import one_line

log = logging.getLogger(__name__)

GROUPS = ("sat_exp.attacks", "sat_exp.models", "sat_exp.measures", "sat_exp.datasets", "sat_exp.studies")

Kind = TypeVar("Kind")

_everything = cache(entry_points)  # reading those of every distribution takes milliseconds


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """The plug-ins of a group, sorted by name, not imported yet. A distribution in the current folder is left out:
    Python searches that folder too, but nobody installed it."""
    here = Path.cwd().resolve()
    return tuple(
        point
        for point in sorted(_everything().select(group=group), key=lambda point: (point.name, point.value))
        if point.dist is not None
        and Path(str(point.dist.locate_file(""))).resolve() != here
        and EntryPoint.pattern.match(point.value)
    )


@cache
def loaded(group: str, kind: type[Kind]) -> dict[str, Kind]:
    """The objects of a group's plug-ins by name. A warning names each that is left out: one that cannot be imported, an
    object that is no `kind`, a second one of a name."""
    objects: dict[str, Kind] = {}
    for plugin in installed(group):
        try:
            loadable = plugin.load()
            if plugin.name in objects:
                raise ValueError("another has its name")
            if not isinstance(loadable, kind):
                raise TypeError(f"it is no {kind.__name__}")
            objects[plugin.name] = loadable
        except Exception as error:
            log.warning("plug-in %s (%s) is left out: %s", plugin.name, plugin.value, one_line(error))
    return objects


def packages(group: str) -> tuple[str, ...]:
    """The top-level packages of a group's plug-ins, each once."""
    return tuple(dict.fromkeys(plugin.module.partition(".")[0] for plugin in installed(group)))


@cache
def configurations() -> dict[str, Path]:
    """The folder `conf` of every plug-in package that has one, by the package's name; no package is imported."""
    folders = {}
    for package in dict.fromkeys(name for group in GROUPS for name in packages(group)):
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            if (Path(place) / "conf").is_dir():
                folders[package] = Path(place).resolve() / "conf"
    return folders


def forget() -> None:
    """Look for plug-ins afresh when they are next needed: for tests and notebooks that install one."""
    for function in (_everything, installed, loaded, configurations):
        function.cache_clear()
