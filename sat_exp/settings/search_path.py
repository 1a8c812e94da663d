"""Folders of configurations beside those of this package: of installed plug-ins, and the one given by `--config-dir`.

A plug-in is trusted, because somebody installed it. The checks keep it from changing Hydra's settings by accident. The
folder of `--config-dir` may come from other people. It must not reach Hydra's own settings, which can name any code.
"""

import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from more_itertools import collapse

from sat_exp import plugins
from sat_exp.errors import UserError, explained, one_line
from sat_exp.settings.targets import TARGET, walked

GROUPS = (
    "attack",
    "dataset",
    "experiment",
    "measure",
    "model",
    "pool",
    "task",
)  # the groups to which a plug-in adds choices
LAUNCHERS = Path("hydra/launcher")
OF_HYDRA = ("hydra_plugins.", "hydra._internal.core_plugins.")
PLAIN = re.compile(r"\$\{(\.*[\w.-]+|package_file:[^${}]*)\}")
"""An interpolation of another setting, or of a file in a package; others read the environment."""

TYPED = ("output_dir", "store", "directory")  # settings of the place where results go
LARGEST = 1_000_000  # bytes of a configuration file

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
    """The folder of configurations of each plug-in package. A warning names each folder that breaks a rule and is left
    out: one with a file outside `GROUPS`, or with a file that changes Hydra's settings or is no YAML."""
    folders = {}
    for package, folder in plugins.configurations().items():
        try:
            for path in sorted(folder.rglob("*.yaml")):
                if path.relative_to(folder).parts[0] not in GROUPS:
                    raise UserError(f"{path} is in none of the groups {', '.join(GROUPS)}")
                if reaches_hydra(*read(path)):
                    raise UserError(f"{path} changes Hydra's own settings")
            folders[package] = folder
        except UserError as error:
            log.warning("the configurations of the plug-in %s are left out: %s", package, error)
    return folders


def check_folder(folder: Path) -> None:
    """UserError for a file in `folder` that cannot be read as settings, or that changes Hydra's own settings.

    The one part of Hydra that such a folder may bring is a launcher: a plug-in of Hydra's, with plain values.
    """
    paths = sorted(folder.rglob("*"))
    if links := [path for path in paths if path.is_symlink()]:
        raise UserError(f"{links[0]} is a link: give a folder of plain files")
    for path in paths:
        if path.name.endswith(".yaml"):
            check_file(path, path.relative_to(folder))


def check_file(path: Path, inside: Path) -> None:
    """`check_folder` for one file. inside: its path in the folder."""
    text, node = read(path)
    if not isinstance(node, dict | None):
        raise UserError(f"{path} holds no settings: give settings as NAME: VALUE, one per line")
    names = [str(key) for _, key, _ in walked(node)]
    texts = [*names, *(value for _, _, value in walked(node) if isinstance(value, str))]
    if any("${" in PLAIN.sub("", each) for each in texts):
        raise UserError(f"{path} has an interpolation other than ${{SETTING}}: type that value on the command line")
    if typed := [name for name in names if name in TYPED]:
        raise UserError(f"{path} sets {typed[0]}, where results go: type that on the command line")
    if inside.parts[0] == "hydra":
        plain = not any("$" in each for each in texts) and "@package" not in text
        named = node is not None and "defaults" not in node and str(node.get(TARGET)).startswith(OF_HYDRA)
        if not (plain and named and names.count(TARGET) == 1 and inside.parent == LAUNCHERS):
            raise UserError(f"{path}: of Hydra's own settings a folder brings launchers only, with plain values")
    elif reaches_hydra(text, node):
        raise UserError(f"{path} changes Hydra's own settings: type those on the command line, hydra.X=")


def read(path: Path) -> tuple[str, Any]:
    """The text of a configuration file, and the YAML in it. UserError where it is too large, not UTF-8, no YAML, or has
    aliases: with them a few lines can stand for more than any memory holds."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise UserError(f"{path} is not a file of settings: move it elsewhere")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    with explained(f"{path} is no YAML", "give settings as NAME: VALUE", yaml.YAMLError, ValueError, RecursionError):
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError(f"{path} has YAML aliases (*NAME): write the values out")
        return text, yaml.safe_load(text)


def reaches_hydra(text: str, node: Any) -> bool:
    """Whether a file states, by any name, that its settings go to Hydra's own; the choice of a launcher may."""
    places = [line for line in text.splitlines() if "@package" in line]
    if isinstance(node, dict):
        places += [str(place) for place in (*node, *collapse(node.get("defaults") or []))]
    return any("hydra" in place and place != f"override /{LAUNCHERS}" for place in places)
