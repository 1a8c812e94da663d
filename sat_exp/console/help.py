"""The text of `--help` and `--help TOPIC`, 80 columns wide, and of `--version`."""

import ast
import platform
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sat_exp
from sat_exp import plugins
from sat_exp.console import choices
from sat_exp.errors import UserError
from sat_exp.names import CONF, check_collisions, files_of, folders_with, own_folder, suggest

WIDTH = 80
SENTENCE = re.compile(r"(?<! al)\. ")  # the end of a sentence, which "et al." is not
LIBRARIES = ("torch", "torchvision", "timm", "lightning", "wandb")
START = """\
sat_exp measures how alike image classifiers are, by how well adversarial
examples that are made on one of them fool another.

  sat-exp task=NAME GROUP=CHOICE GROUP.SETTING=VALUE ...

Tasks: task=NAME                  (the settings of one: sat-exp --help NAME)
{tasks}

Choices: GROUP=CHOICE             (the settings of one: sat-exp --help CHOICE)
{groups}
All choices of a group: sat-exp --help models, attacks, datasets, pools, ...

Examples
  sat-exp                                    attack one bundled network
  sat-exp experiment=quickstart              similarity of 13 bundled networks
  sat-exp task=transfer model=A model@target=B      similarity of two networks
  sat-exp task=matrix pool=NAME              similarity of all pairs of a pool
  sat-exp task=analyze task.run=FOLDER       a study of a finished matrix
  sat-exp -m attack.epsilon=4,8 model=A,B    a sweep over settings and models
All settings: sat-exp --cfg job.  Tab: eval "$(sat-exp -sc install=bash)"
"""


def answer(arguments: Sequence[str]) -> str | None:
    """The text that `--help` or `--version` asks for; None for other arguments. UserError for an unknown topic."""
    if "--version" in arguments:
        return versions()
    if not {"--help", "-h"} & set(arguments):
        return None
    own = own_folder(arguments)
    check_collisions(CONF, plugins.configurations(), own)
    folders = folders_with(own)
    words = [word for word in arguments if not word.startswith("-") and word != str(own)]
    return "\n\n".join(topic(word, folders) for word in words) if words else start(folders)


def versions() -> str:
    """The versions of this program, of Python and of the main libraries, one per line; none is imported."""
    lines = [f"sat_exp {sat_exp.__version__}", f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


def start(folders: Sequence[Path]) -> str:
    groups = [
        fitted(group, sorted(files_of(group, folders)))
        for group in choices.groups()
        if group != "task" and len(files_of(group, folders)) > 1
    ]
    return START.format(tasks=overview(tasks(folders), most=1), groups="\n".join(groups))


def topics(folders: Sequence[Path] | None = None) -> list[str]:
    """What `--help` explains: groups in the plural, tasks, and the other choices."""
    groups = choices.groups()
    names = (name for group in ["task", *groups] for name in files_of(group, folders))
    return list(dict.fromkeys([*map(plural, groups), *names]))


def plural(group: str) -> str:
    return group if group in ("hardware", "tracking") else f"{group}s"


def topic(word: str, folders: Sequence[Path]) -> str:
    """The text about a group, such as models, or about a choice, such as pgd or attack=pgd."""
    group, _, choice = word.partition("=")
    if not choice:
        for group in choices.groups():
            if word == plural(group):
                return overview(tasks(folders) if group == "task" else described(group, folders))
        for group in ["task", *choices.groups()]:
            if word in files_of(group, folders):
                return explained(group, word, folders)
    elif group in choices.groups() and choice in files_of(group, folders):
        return explained(group, choice, folders)
    raise UserError(f"--help {word}: there is no such topic; {suggest(choice or word, topics(folders))}")


def tasks(folders: Sequence[Path]) -> dict[str, str]:
    """The question of each study, and the first line of the module of each other task, by name; none is imported."""
    from sat_exp.runs import registry

    questions = {study.name: study.question for study in registry.studies()}
    return {name: questions.get(name) or summary(name, folders) for name in sorted(files_of("task", folders))}


def summary(task: str, folders: Sequence[Path]) -> str:
    """The first line of the docstring of a task's module, without 'task=NAME: ' and full stop."""
    from sat_exp.settings.signatures import located

    module = choices.target_of("task", task, folders).rpartition(".")[0]
    file = located(module) if module else None
    text = ast.get_docstring(ast.parse(file.read_bytes())) if file else None
    return (text or "").partition("\n")[0].removeprefix(f"task={task}: ").rstrip(".")


def described(group: str, folders: Sequence[Path]) -> dict[str, str]:
    """The first sentence of the comment in the file of each choice, by name."""
    files = sorted(files_of(group, folders).items())
    return {name: SENTENCE.split(" ".join(choices.comment(file)))[0].rstrip(".") for name, file in files}


def overview(lines: dict[str, str], most: int | None = None) -> str:
    """Names with their texts, `WIDTH` characters wide. most: the most lines of a text; null for all."""
    width = max(map(len, lines), default=0)
    hang = " " * (width + 4)
    return "\n".join(
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=f"  {name:{width}}  ",
            subsequent_indent=hang,
            max_lines=most,
            placeholder=" …",
            break_on_hyphens=False,
        )
        for name, text in lines.items()
    )


def fitted(group: str, names: Sequence[str]) -> str:
    """The first names of a group on one line of at most `WIDTH` characters, and how many there are."""
    shown = list(names)
    while True:
        rest = f", … ({len(names)})" if len(shown) < len(names) else ""
        line = f"  {group:10}  {', '.join(shown)}{rest}"
        if len(line) <= WIDTH or not shown:
            return line
        shown.pop()


def explained(group: str, choice: str, folders: Sequence[Path]) -> str:
    """The comment of a choice's file, and its settings with their defaults and remarks."""
    file = files_of(group, folders)[choice]
    lines = [f"{group}={choice}", "", *wrapped(choices.comment(file))]
    values = (
        {}
        if group == "experiment"
        else choices.flat(choices.prefix(group, choice), choices.settings_of(group, choice, folders))
    )
    values.pop("task.name", None)
    if not values:
        return "\n".join(lines)
    types, remarks = choices.types_of(group, choice, folders), choices.remarks(file)
    width = max(map(len, values))
    given = min(max(len(typed(value)) for value in values.values()), WIDTH // 3)
    lines += ["", "Settings and their defaults"]
    for name, value in values.items():
        last = name.rpartition(".")[2]
        remark = "; ".join(filter(None, (allowed(types.get(last)), remarks.get(last))))
        row = f"  {name:{width}}  {typed(value):{given}}"
        hang = " " * (width + given + 6)
        lines += (
            textwrap.wrap(f"{row}  {remark}", WIDTH, subsequent_indent=hang, break_on_hyphens=False)
            if remark
            else [row.rstrip()]
        )
    return "\n".join(lines)


def wrapped(comment: Sequence[str]) -> list[str]:
    """The lines of a comment, filled to `WIDTH`. A list, a command, and "setting: ..." begin a line."""
    lines: list[str] = []
    for line in comment:
        kept = bool(lines) and lines[-1].startswith((" ", "- "))
        fresh = not lines or kept or line.startswith((" ", "- ")) or is_setting(line)
        lines = [*lines, line] if fresh else [*lines[:-1], f"{lines[-1]} {line}"]
    hangs = {"-": "  ", " ": "      "}
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, subsequent_indent=hangs.get(line[:1], ""), break_on_hyphens=False)
    ]


def is_setting(line: str) -> bool:
    """Whether a line begins with names of settings and a colon."""
    names, colon, _ = line.partition(":")
    return bool(colon) and all(name.strip().replace("_", "").isalnum() for name in names.split(","))


def allowed(hint: Any) -> str:
    """The values that a type allows, where they are names."""
    from sat_exp.settings.schema import choices as values

    names = values(hint)
    return f"one of {', '.join(names)}" if names else ""


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{typed(inner)}" for key, inner in value.items()) + "}"
    return str(value)
