"""The list of tasks in `--help`, one line per task. No task is imported."""

import ast
from importlib.util import find_spec
from pathlib import Path

import yaml

from sat_exp.names import CONF
from sat_exp.runs import registry
from sat_exp.settings import search_path


def tasks() -> str:
    """The tasks of this package and of plug-ins: the question of a study, the docstring of another task's module."""
    questions = {study.name: study.question for study in registry.studies()}
    files = [file for folder in (CONF, *search_path.plugin_folders().values()) for file in folder.glob("task/*.yaml")]
    lines = {
        file.stem: questions.get(file.stem) or _docstring(file) for file in sorted(files, key=lambda file: file.stem)
    }
    width = max(map(len, lines))
    return "\n".join(f"  {name:{width}}  {line}" for name, line in lines.items()).replace("$", "$$")


def _docstring(file: Path) -> str:
    """The first line of the docstring of the module that a task's file names, without 'task=NAME: ' and full stop."""
    stated = yaml.safe_load(file.read_text(encoding="utf-8"))
    module = str(stated.get("task", stated).get("_target_", "")).rpartition(".")[0]
    spec = find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removeprefix(f"task={file.stem}: ").rstrip(".")
