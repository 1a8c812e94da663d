"""The choices of the command line as their YAML files state them, read without Hydra, which takes longer to import."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sat_exp.names import CONF, SEVERAL, files_of

OVERRIDE = re.compile(r"override /(\w+)(?:@[\w.]+)?")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLACES = ("_target_", "defaults", "hydra")  # keys that are no settings


def load(file: Path) -> dict[str, Any]:
    return yaml.load(file.read_text(encoding="utf-8"), LOADER) or {}  # noqa: S506


def groups() -> list[str]:
    """The names of the groups, such as attack."""
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra")


def settings_of(group: str, choice: str, folders: Iterable[Path] | None = None) -> dict[str, Any]:
    """The settings of a choice by name, with those of the choices of its group that it builds on."""
    own, bases = stated(group, choice, folders)
    values: dict[str, Any] = {}
    for base in bases:
        values |= settings_of(group, base, folders)
    return values | {str(key): value for key, value in own.items() if key not in PLACES}


def stated(group: str, choice: str, folders: Iterable[Path] | None) -> tuple[dict[str, Any], list[str]]:
    """What the file of a choice states of its group, and the choices of the group that it builds on."""
    files = files_of(group, folders)
    whole = load(files[choice]) if choice in files else {}
    bases = [base for base in whole.get("defaults") or [] if isinstance(base, str) and base != "_self_"]
    return whole[group] if isinstance(whole.get(group), dict) else whole, bases


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by full name; a part that names code is one value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value and "_target_" not in value:
            found |= flat(f"{prefix}.{name}", value)
        else:
            found[f"{prefix}.{name}"] = value
    return found


def prefix(group: str, choice: str) -> str:
    """What the names of a choice's settings begin with, without the dot."""
    return f"{group}.{choice}" if group in SEVERAL else group


def common() -> dict[str, Any]:
    """The settings of the whole configuration by name, without groups."""
    whole = load(CONF / "config.yaml")
    return {key: value for key, value in whole.items() if key not in (*PLACES, "pool", "target", "sweep", *SEVERAL)}


def chosen(typed: Sequence[str], folders: Iterable[Path] | None = None) -> dict[str, str]:
    """The choice of every group that has one: as typed, else by the file of a typed choice, else the default."""
    defaults = [entry for entry in load(CONF / "config.yaml")["defaults"] if isinstance(entry, Mapping)]
    choices = {key: value for entry in defaults for key, value in entry.items() if value and key in groups()}
    explicit = dict(argument.split("=", 1) for argument in typed if "=" in argument)
    explicit = {group: choice for group, choice in explicit.items() if group in groups()}
    for group, choice in (choices | explicit).items():
        file = files_of(group, folders).get(choice)
        for entry in (load(file).get("defaults") or []) if file else []:
            for key, value in entry.items() if isinstance(entry, Mapping) else ():
                if found := OVERRIDE.fullmatch(key):
                    choices[found[1]] = value
    return choices | explicit


def comment(file: Path) -> list[str]:
    """The lines of a choice's file that are comments."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return [line.removeprefix("#").removeprefix(" ") for line in lines if not line.startswith("# @package")]


def remarks(file: Path) -> dict[str, str]:
    """The remark after the value of a setting, by the setting's name."""
    found = re.findall(r"^ *(\w+): .*?[ \t]#[ \t](.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def types_of(group: str, choice: str, folders: Iterable[Path] | None = None) -> dict[str, Any]:
    """The types of the settings of a choice by name, from the signature of the code that it names."""
    from sat_exp.settings.signatures import signature_of  # takes tenths of a second

    signature = signature_of(target_of(group, choice, folders))
    return {} if signature is None else dict(signature.__annotations__)


def target_of(group: str, choice: str, folders: Iterable[Path] | None = None) -> str:
    """The code that a choice names; empty where it names none."""
    own, bases = stated(group, choice, folders)
    return str(own.get("_target_") or next((target_of(group, base, folders) for base in bases), ""))
