"""Signatures read from source files, so that a wrong setting is refused before torch and others are imported, which
takes seconds.

Only what stands in a module's source is read; no module is run except those in `LIGHT`, which take no time. A type that
cannot be read this way is `Any`, so that no right value is refused here. The full check, which imports the code that
the configuration names, follows in any case.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

from sat_exp.settings.schema import Parameter, typed_dict

LIGHT = ("collections", "pydantic", "sat_exp.settings", "typing", "typing_extensions")
"""Packages that a type may take names from; they are imported."""

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """A module as read. statements: by the name that each defines at the top level."""

    module: str
    package: str
    statements: dict[str, ast.stmt]

    def defined(self, name: str) -> tuple["Source", Definition] | None:
        """The class or function called `name`, and the module that defines it; None where it cannot be read."""
        statement = self.statements.get(name)
        if isinstance(statement, Definition):
            return self, statement
        if isinstance(statement, ast.ImportFrom):
            source = read(self.origin(statement))
            return source.defined(imported_name(statement, name)) if source else None
        return None

    def origin(self, statement: ast.ImportFrom) -> str:
        """The full name of the module that a statement imports from."""
        parents = self.package.split(".")
        base = ".".join(parents[: len(parents) - statement.level + 1]) if statement.level else ""
        return ".".join(filter(None, (base, statement.module)))

    def hint(self, annotation: ast.expr | None) -> Any:
        """The type that an annotation states; `Any` where it cannot be told from the source."""
        if annotation is None:
            return Any
        stated = SimpleNamespace(__annotations__={"hint": ast.unparse(annotation)})
        try:
            return get_type_hints(stated, {}, Names(self), include_extras=True)["hint"]
        except Exception:  # the full check decides
            return Any


class Names(dict[str, Any]):
    """The values of a module's names, each found when it is first used."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def __missing__(self, name: str) -> Any:
        statement = self.source.statements[name]
        if isinstance(statement, ast.ImportFrom):
            origin = self.source.origin(statement)
            original = imported_name(statement, name)
            if origin.split(".")[0] in LIGHT or ".".join(origin.split(".")[:2]) in LIGHT:
                return getattr(import_module(origin), original)
            source = read(origin)
            if source is None:
                raise KeyError(name)
            return Names(source)[original]
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            try:
                return ast.literal_eval(statement.value)
            except ValueError:
                return self.source.hint(statement.value)
        raise KeyError(name)


@cache
def signature_of(target: str) -> Any:
    """A TypedDict of the parameters of the class or function of that dotted name, equal to `schema.of_signature` of the
    object; None where its source cannot be read."""
    module, _, name = target.rpartition(".")
    source = read(module) if module else None
    found = source.defined(name) if source else None
    return typed_dict(name, parameters(*found)) if found else None


@cache
def read(module: str) -> Source | None:
    """The source of a module; None for one without source."""
    file = located(module)
    if file is None:
        return None
    statements: dict[str, ast.stmt] = {}
    for statement in ast.parse(file.read_bytes()).body:
        statements |= dict.fromkeys(names_of(statement), statement)
    return Source(module, module if file.name == "__init__.py" else module.rpartition(".")[0], statements)


def located(module: str) -> Path | None:
    """The source file of a module, found without importing the packages that it is in; None where there is none."""
    path, origin = None, None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None or (end < len(parts) and spec.submodule_search_locations is None):
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def names_of(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement defines."""
    if isinstance(statement, Definition):
        yield statement.name
    elif isinstance(statement, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in statement.names)
    elif isinstance(statement, ast.Assign):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def imported_name(statement: ast.ImportFrom, name: str) -> str:
    return next((alias.name for alias in statement.names if (alias.asname or alias.name) == name), name)


def parameters(source: Source, node: Definition) -> list[Parameter]:
    """The parameters of a function, or of a class: of its `__init__`, or the fields of a dataclass."""
    if isinstance(node, ast.FunctionDef):
        return of_function(source, node)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return of_function(source, statement)[1:]
    bases = [source.defined(base.id) for base in reversed(node.bases) if isinstance(base, ast.Name)]
    fields = {parameter.name: parameter for base in bases if base for parameter in parameters(*base)}
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                name, annotation = statement.target.id, statement.annotation
                if not ast.unparse(annotation).startswith("ClassVar"):
                    fields[name] = Parameter(name, source.hint(annotation), statement.value is None)
    return list(fields.values())


def of_function(source: Source, node: ast.FunctionDef) -> list[Parameter]:
    stated = node.args
    positional = [*stated.posonlyargs, *stated.args]
    optional = [False] * (len(positional) - len(stated.defaults)) + [True] * len(stated.defaults)
    optional += [default is not None for default in stated.kw_defaults]
    found = [
        Parameter(argument.arg, source.hint(argument.annotation), not given)
        for argument, given in zip([*positional, *stated.kwonlyargs], optional, strict=True)
    ]
    if stated.kwarg:
        found += rest_of(source, stated.kwarg)
    return found


def rest_of(source: Source, rest: ast.arg) -> list[Parameter]:
    """The parameters that `**rest: Annotated[Any, Class]` takes: those of the class; of another `**rest`, any."""
    if isinstance(rest.annotation, ast.Subscript) and isinstance(rest.annotation.slice, ast.Tuple):
        named = rest.annotation.slice.elts[-1]
        if isinstance(named, ast.Name) and (found := source.defined(named.id)):
            return [replace(parameter, required=False) for parameter in parameters(*found)]
    return [Parameter(rest.arg, Any, required=False, rest=True)]
