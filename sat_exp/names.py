"""The names typed on the command line, checked before Hydra composes anything. Hydra is imported where it is needed, so
that completion is fast."""

import argparse
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sat_exp import plugins
from sat_exp.errors import SHOWN, UserError, nearest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

PACKAGE = Path(__file__).parent
CONF = PACKAGE.parent / "conf" if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / "conf"

PAPER_NAME = re.compile(r"^paper_name: *['\"]?([^'\"\s#]+)", re.MULTILINE)
OWN_PARTS = re.compile(r"[+~]*hydra[./](searchpath|callbacks)\b")
"""Parts of Hydra's settings that belong to this program."""

SEVERAL = ("measure",)
"""Groups that may have several choices in one command."""

MOST = 15  # names of choices that an error lists
MODEL_CHOICE = re.compile(r"(\+{0,2}model(?:@[\w.]+)?)=(?!glob\()(.*)", re.DOTALL)


def aliases(conf: Path) -> dict[str, str]:
    """The names that the paper gives to models, each with the name of the model's file, where the two differ."""
    files = {}
    for path in sorted((conf / "model").glob("*.yaml")):
        paper_name = PAPER_NAME.search(path.read_text())
        if paper_name and not (conf / "model" / f"{paper_name[1]}.yaml").is_file():
            files[paper_name[1]] = path.stem
    return files


def resolve(arguments: Sequence[str], conf: Path) -> list[str]:
    """`arguments` with the paper's names after model= and model@target=, in lists too, replaced by the files' names."""
    files = aliases(conf)

    def resolved(argument: str) -> str:
        choice = MODEL_CHOICE.fullmatch(argument)
        if choice is None:
            return argument
        return f"{choice[1]}=" + re.sub(r"[\w.-]+", lambda name: files.get(name[0], name[0]), choice[2])

    return [resolved(argument) for argument in arguments]


def own_folder(arguments: Sequence[str]) -> Path | None:
    """The folder that --config-dir (-cd) adds, or None. UserError for options and settings of Hydra that would replace
    the configuration of this program."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    for option in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--experimental-rerun",)):
        parser.add_argument(*option, dest=option[0])
    typed = vars(parser.parse_known_args(arguments)[0])
    own = typed.pop("config_dir")
    fixed = [option for option, value in typed.items() if value is not None]
    fixed += [argument.partition("=")[0].lstrip("+~") for argument in arguments if OWN_PARTS.match(argument)]
    if fixed:
        raise UserError(f"{fixed[0]} is fixed: add your own files by --config-dir FOLDER (-cd)")
    return own


def check_collisions(conf: Path, packages: Mapping[str, Path], own: Path | None) -> None:
    """UserError where a choice of `own` or of a plug-in has the name of one of `conf`, or of another plug-in. packages:
    the folder of configurations of each plug-in package. own: the folder given by --config-dir."""
    holders = {path.relative_to(conf): "sat_exp" for path in conf.glob("*/*.yaml")}
    for package, folder in packages.items():
        for path in sorted(folder.glob("*/*.yaml")):
            choice = path.relative_to(folder)
            if holder := holders.get(choice):
                raise UserError(
                    f"the plug-in {package} has the {choice.parent} {choice.stem}, and so has {holder}: uninstall "
                    f"{package}, or rename {path}"
                )
            holders[choice] = package
    if own is not None:
        for path in sorted(own.glob("*/*.yaml")):
            if path.relative_to(own) in holders:
                raise UserError(f"{path}: there is a {path.parent.name} {path.stem} already; give it another name")


def check_choices(arguments: Sequence[str], folders: Sequence[Path]) -> None:
    """UserError, with the nearest names, for a choice among `arguments` that none of `folders` has. folders: the
    configurations of this package first, then further ones."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parsed = []
    paths = {str(folder) for folder in folders}  # among the arguments is that of --config-dir
    for argument in arguments:
        if "=" in argument and not argument.startswith("-") and argument not in paths:
            try:
                parsed += OverridesParser.create().parse_overrides([argument])
            except OverrideParseException as error:
                advice = "give settings as NAME=VALUE, and quote a value that is not plain, NAME='VALUE'; see --help"
                raise UserError(f"{argument[:SHOWN]} cannot be read: {advice}") from error
            if not parsed[-1].key_or_group:
                raise UserError(f"{argument[:SHOWN]} has no name: give NAME=VALUE")
    groups = {path.name for path in folders[0].iterdir() if path.is_dir() and path.name != "hydra"}
    for override in parsed:
        group = override.key_or_group.split("@")[0]
        if override.is_delete():
            continue
        if group.split("/")[0] == "hydra" and isinstance(override.value(), int | float | None):
            raise UserError(f"{override.input_line}: give the name of a choice, or a setting as hydra.NAME=VALUE")
        if group not in groups:
            continue
        known = [*files_of(group, folders), *(aliases(folders[0]) if group == "model" else ())]
        if isinstance(override.value(), list) and group not in SEVERAL:
            raise UserError(f"{override.input_line}: choose one {group}; a sweep over several is -m {group}=A,B")
        for chosen in choices(override):
            if not isinstance(chosen, str):
                typed = str(override.input_line)[:SHOWN]
                raise UserError(f"{typed}: give the name of a choice, {choose(chosen, known)}")
            if chosen not in known:
                hint = suggest(chosen, known, cutoff=0.4)
                raise UserError(f"{override.get_key_element()}: no {group} called {chosen[:SHOWN]!r}; {hint}")


def suggest(value: Any, known: Collection[Any], cutoff: float = 0.6) -> str:
    """'did you mean …?' with the `known` names nearest to `value`; all of them where none is near."""
    near = nearest(value, known, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else f"give {choose(value, known)}"


def choose(value: Any, known: Iterable[Any]) -> str:
    """'one of …' with the `known` names, those nearest to `value` first."""
    names = [str(name) for name in known]
    ordered = list(dict.fromkeys([*nearest(value, names), *names]))
    return f"one of {', '.join(ordered[:MOST])}" + (f" and {len(ordered) - MOST} more" if len(ordered) > MOST else "")


def folders_with(own: Path | None) -> list[Path]:
    """The folders of configurations: of this package, of plug-ins, and the one given by --config-dir."""
    return [CONF, *plugins.configurations().values(), *([own] if own else [])]


def files_of(group: str, folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """The files of a group by the name of the choice; folders: by default those of this package and plug-ins."""
    places = folders_with(None) if folders is None else folders
    return {path.stem: path for place in places for path in sorted((place / group).glob("*.yaml"))}


def choices(override: "Override") -> list[Any]:
    """The values that an override chooses: one, several, or those of a sweep over a list; none for a glob."""
    from hydra.core.override_parser.types import ChoiceSweep, Glob, QuotedString

    value = override.value()
    if isinstance(value, Glob):
        return []
    listed = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    return [item.text if isinstance(item, QuotedString) else item for item in listed]
