"""The configurations of installed plug-ins, on Hydra's search path.

Plug-ins are trusted: somebody installed them. The checks keep one from changing Hydra's settings by accident.
"""

import logging
from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.settings.folders import content, parsed, places

GROUPS = ("attack", "dataset", "experiment", "model", "pool", "task")
"""The groups to which a plug-in adds choices."""

log = logging.getLogger(__name__)


class PluginFolders(SearchPathPlugin):
    """Appends the configurations of plug-ins to Hydra's search path, after those of this package."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for package, folder in plugin_folders().items():
            search_path.append(f"plug-in {package}", f"file://{folder}")


def register() -> None:
    """Let Hydra find the configurations of plug-ins. By itself it takes such classes from `hydra_plugins` only."""
    Plugins.instance().register(PluginFolders)


@cache
def plugin_folders() -> dict[str, Path]:
    """The folder of configurations of each plug-in package, except those that break a rule, each named in a warning."""
    folders = {}
    for package, folder in plugins.configurations().items():
        try:
            check_plugin(folder)
            folders[package] = folder
        except UserError as error:
            log.warning("the configurations of the plug-in %s are left out: %s", package, error)
    return folders


def check_plugin(folder: Path) -> None:
    """UserError where a plug-in has a file outside `GROUPS`, or one that changes Hydra's settings or is no YAML."""
    for path in sorted(folder.rglob("*.yaml")):
        text = content(path)
        if path.relative_to(folder).parts[0] not in GROUPS:
            raise UserError(f"{path} is in none of the groups {', '.join(GROUPS)}")
        if any("hydra" in place for place in places(parsed(text, path), text)):
            raise UserError(f"{path} changes Hydra's own settings")
