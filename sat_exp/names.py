"""Names typed on the command line, checked against what there is before Hydra composes anything."""

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.errors import OverrideParseException

from sat_exp.errors import UserError

PACKAGE = Path(__file__).parent
CONF = PACKAGE.parent / "conf" if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / "conf"

PAPER_NAME = re.compile(r"^paper_name: *['\"]?([^'\"\s#]+)", re.MULTILINE)
OWN_PARTS = re.compile(r"[+~]*hydra[./](searchpath|callbacks)\b")
"""Parts of Hydra's settings that are this program's own."""

LONGEST, MOST = 60, 15
"""Characters of a wrong name, and names of choices, that an error lists."""

MODEL_CHOICE = re.compile(r"(\+{0,2}model(?:@[\w.]+)?)=(?!glob\()(.*)", re.DOTALL)


def aliases(conf: Path) -> dict[str, str]:
    """The paper's names of models whose file is called otherwise, each with the file's name."""
    found = {}
    for path in sorted((conf / "model").glob("*.yaml")):
        paper_name = PAPER_NAME.search(path.read_text())
        if paper_name and not (conf / "model" / f"{paper_name[1]}.yaml").is_file():
            found[paper_name[1]] = path.stem
    return found


def resolve(arguments: Sequence[str], conf: Path) -> list[str]:
    """`arguments` with the paper's names after model= and model@target=, in lists too, replaced by the files' names."""
    files = aliases(conf)

    def resolved(argument: str) -> str:
        choice = MODEL_CHOICE.fullmatch(argument)
        if choice is None:
            return argument
        return f"{choice[1]}=" + re.sub(r"[\w.-]+", lambda name: files.get(name[0], name[0]), choice[2])

    return [resolved(argument) for argument in arguments]


def own_folder(arguments: Sequence[str], conf: Path) -> Path | None:
    """The folder of further choices that --config-dir (-cd) names.

    UserError where one of them has the name of one of `conf`, which would be used in its place, and for Hydra's options
    that put other files in the place of `conf`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    for option in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--experimental-rerun",)):
        parser.add_argument(*option, dest="instead")
    typed = parser.parse_known_args(arguments)[0]
    if typed.instead is not None or any(OWN_PARTS.match(argument) for argument in arguments):
        raise UserError(
            "hydra.callbacks, hydra.searchpath and the configuration are those of sat_exp: add your own files by "
            "--config-dir FOLDER (-cd)"
        )
    folder: Path | None = typed.config_dir
    if folder is None:
        return None
    for path in sorted(folder.glob("*/*.yaml")):
        if (conf / path.relative_to(folder)).is_file():
            raise UserError(f"{path}: there is a {path.parent.name} {path.stem} already; give it another name")
    return folder


def check_choices(arguments: Sequence[str], conf: Path, own: Path | None = None) -> None:
    """Raise UserError, with the nearest names, for a choice among `arguments` that neither `conf` nor `own` has."""
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException:
        return
    groups = {path.name for path in conf.iterdir() if path.is_dir() and path.name != "hydra"}
    for override in parsed:
        group = override.key_or_group.split("@")[0]
        if group not in groups or override.is_delete():
            continue
        folders = [conf] + ([own] if own is not None else [])
        known = [name for folder in folders for name in choices_of(group, folder)]
        if group == "model":
            known += aliases(conf)
        if isinstance(override.value(), list):
            raise UserError(f"{override.input_line}: choose one {group}; a sweep over several is -m {group}=A,B")
        for chosen in choices(override):
            if not isinstance(chosen, str):
                typed = str(override.input_line)[:LONGEST]
                raise UserError(f"{typed}: give the name of a choice, {choose(chosen, known)}")
            if chosen not in known:
                near = difflib.get_close_matches(chosen, known, n=3, cutoff=0.4)
                hint = f"did you mean {' or '.join(near)}?" if near else f"give {choose(chosen, known)}"
                raise UserError(f"{override.get_key_element()}: no {group} called {chosen[:LONGEST]!r}; {hint}")


def choose(value: Any, known: Iterable[Any]) -> str:
    """Which of the `known` names to choose, the nearest first."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(value)[:LONGEST], names, n=3)
    ordered = list(dict.fromkeys([*near, *names]))
    return f"one of {', '.join(ordered[:MOST])}" + (f" and {len(ordered) - MOST} more" if len(ordered) > MOST else "")


def choices_of(group: str, conf: Path = CONF) -> list[str]:
    """The names of the files that `conf` has for a group."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml"))


def choices(override: Override) -> list[Any]:
    """What an override chooses: one thing, or those of a sweep over a list; nothing for a glob."""
    value = override.value()
    if isinstance(value, Glob):
        return []
    listed = value.list if isinstance(value, ChoiceSweep) else [value]
    return [item.text if isinstance(item, QuotedString) else item for item in listed]
