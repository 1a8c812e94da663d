"""The check of a folder of configuration files that the user adds by `--config-dir`.

It may come from other people. It must not reach Hydra's own settings, by which files could name any code.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sat_exp.errors import UserError, one_line

LAUNCHERS = Path("hydra/launcher")
OF_HYDRA = ("hydra_plugins.", "hydra._internal.core_plugins.")
PLAIN = re.compile(r"\$\{(\.*[\w.-]+|package_file:[^${}]*)\}")
"""An interpolation of another setting, or of a file in a package; others read the environment."""

TYPED = ("output_dir", "directory")
"""Settings of the place where results go."""

LARGEST = 1_000_000
"""Bytes of a file."""


def check_folder(folder: Path) -> None:
    """UserError for a file in `folder` that cannot be read as settings, or that changes Hydra's own settings.

    The one part of Hydra that such a folder may bring is a launcher: a plug-in of Hydra's, with plain values.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UserError(f"{path} is a link: give a folder of plain files")
    for path in sorted(folder.rglob("*.yaml")):
        text = content(path)
        node = parsed(text, path)
        if not isinstance(node, dict | None):
            raise UserError(f"{path} holds no settings: give settings as NAME: VALUE, one per line")
        texts = [part for part in nodes(node) if isinstance(part, str)]
        if any("${" in PLAIN.sub("", each) for each in texts):
            raise UserError(f"{path} has an interpolation other than ${{SETTING}}: type that value on the command line")
        if typed := [each for each in keys(node) if each in TYPED]:
            raise UserError(f"{path} sets {typed[0]}, where results go: type that on the command line")
        inside = path.relative_to(folder)
        if inside.parts[0] == "hydra":
            plain = not any("$" in each for each in texts) and "@package" not in text
            if inside.parent != LAUNCHERS or not is_launcher(node) or not plain:
                raise UserError(f"{path}: of Hydra's own settings a folder brings launchers only, with plain values")
        elif any("hydra" in place for place in places(node, text)):
            raise UserError(f"{path} changes Hydra's own settings: type those on the command line, hydra.X=")


def nodes(node: Any) -> Iterator[Any]:
    """Every mapping, list, name and value in a file, however deep."""
    yield node
    for part in [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(part)


def keys(node: Any) -> list[str]:
    """The name of every setting in a file, however deep."""
    return [str(key) for part in nodes(node) if isinstance(part, dict) for key in part]


def content(path: Path) -> str:
    """The text of a configuration file; UserError where it is too large or not UTF-8."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise UserError(f"{path} is not a file of settings: move it elsewhere")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error


def parsed(text: str, path: Path) -> Any:
    """The YAML in `text`, without aliases: with them a few lines can stand for more than any memory holds."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError(f"{path} has YAML aliases (*NAME): write the values out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no YAML ({one_line(error)}): give settings as NAME: VALUE") from error


def is_launcher(node: Any) -> bool:
    """Whether a file names one of Hydra's plug-ins and no other code."""
    if not isinstance(node, dict) or not str(node.get("_target_")).startswith(OF_HYDRA):
        return False
    return keys(node).count("_target_") == 1 and "defaults" not in node


def places(node: Any, text: str) -> Iterator[str]:
    """Every name by which a file states where its settings go, except for the choice of a launcher."""
    yield from (line for line in text.splitlines() if "@package" in line)
    if isinstance(node, dict):
        yield from (str(key) for key in node)
        for default in node.get("defaults") or []:
            for place in default if isinstance(default, dict) else [default]:
                if str(place) != f"override /{LAUNCHERS}":
                    yield str(place)
