"""What Tab completes: names of choices, settings and their values. The script of Hydra's `-sc install=SHELL` asks for
them at every Tab, so that neither Hydra nor anything else that is slow is imported."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sat_exp.console import choices
from sat_exp.names import CONF, SEVERAL, aliases, files_of, folders_with, own_folder

OPTIONS = ("--help", "--version", "--multirun", "--cfg", "--package", "--config-dir", "--resolve")


def answer(arguments: Sequence[str]) -> str | None:
    """The completions that a shell asks for by `-sc query=SHELL`; None for other arguments."""
    query = next((argument for argument in arguments if argument.startswith("query=")), None)
    if query is None or not {"-sc", "--shell-completion"} & set(arguments) or "COMP_LINE" not in os.environ:
        return None
    line = os.environ["COMP_LINE"][: int(os.environ.get("COMP_POINT", 1_000_000))]
    return ("\n" if query == "query=fish" else " ").join(completions(line))


def completions(line: str) -> list[str]:
    """The words that can stand in place of the last one of `line`."""
    words = line.split()
    last = "" if line[-1:].isspace() or not words else words.pop()
    if words and words[-1] in ("--help", "-h"):
        from sat_exp.console.help import topics

        return beginning(last, topics())
    if last.startswith("-"):
        return beginning(last, OPTIONS)
    folders = folders_with(own_folder(words))
    key, given, value = last.partition("=")
    if not given:
        return keys(last, words, folders)
    head, separator, tail = value.rpartition(",")
    return [f"{key}={head}{separator}{each}" for each in beginning(tail, values(key, words, folders))]


def beginning(prefix: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def keys(prefix: str, typed: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Names of groups and settings that begin with `prefix`; settings of a group only after its dot."""
    group, dot, _ = prefix.partition(".")
    if dot:
        return beginning(prefix, [f"{name}=" for name in choices.flat(group, settings(group, typed, folders))])
    common = [name for name, value in choices.common().items() if not isinstance(value, dict)]
    nested = [f"{name}." for name, value in choices.common().items() if isinstance(value, dict)]
    groups = [name for group in choices.groups() for name in (f"{group}=", f"{group}.") if name != "experiment."]
    return beginning(prefix, sorted([*groups, *nested, "model@target=", *(f"{name}=" for name in common)]))


def settings(group: str, typed: Sequence[str], folders: Sequence[Path]) -> dict[str, Any]:
    """The settings of a group, by the choice that is typed or the default one; of all choices of a group that may have
    several in one command."""
    if group in SEVERAL:
        return {name: choices.settings_of(group, name, folders) for name in files_of(group, folders)}
    if group in choices.groups():
        return choices.settings_of(group, choices.chosen(typed, folders).get(group, ""), folders)
    nested = choices.common().get(group)
    return nested if isinstance(nested, dict) else {}


def values(key: str, typed: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The values that `key` can have, where they are names."""
    group = key.partition("@")[0]
    if group in choices.groups():
        return sorted([*files_of(group, folders), *(aliases(CONF) if group == "model" else ())])
    section, dot, name = key.partition(".")
    if dot and isinstance(settings(section, typed, folders).get(name), bool):
        return ["true", "false"]
    from sat_exp.settings.schema import choices as allowed

    if not dot:
        from sat_exp.settings.configuration import Configuration

        return allowed(Configuration.__annotations__.get(key))
    choice = choices.chosen(typed, folders).get(section, "")
    return allowed(choices.types_of(section, choice, folders).get(name))
