"""Which code a configuration may name by `_target_`: that of known packages, of installed plug-ins, and of packages
that the user allows by typing `allow=[PACKAGE]`. Data never name other code."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from sat_exp.errors import UserError, one_line

TARGET = "_target_"
PLUGINS = "sat_exp.plugins"
"""The entry points by which an installed package offers its code to configurations: NAME = "PACKAGE"."""

TIMM = ("timm.create_model", "timm.models", "timm.layers")
"""Other parts of timm read weights by themselves."""

CLASS_OF = "hydra.utils.get_class"
"""The one target that is no object itself but names a class, by its `path`."""

_allowed: ContextVar[tuple[str, ...]] = ContextVar("allowed", default=())


@dataclass(frozen=True)
class Kind:
    """What the targets of a group are: `noun` in words; `packages` it is looked for in; `fits`, whether an object of
    those packages is one."""

    noun: str
    packages: tuple[str, ...]
    fits: Callable[[Any], bool]


def is_network(found: Any) -> bool:
    """Whether an object builds a network, or a part or the settings of one: a class of modules, one of timm's
    dataclasses, or one of timm's and torchvision's builders."""
    import timm
    import torchvision
    from torch import nn

    if inspect.isclass(found):
        return issubclass(found, nn.Module) or (is_dataclass(found) and within(found.__module__, ["timm"]))
    name = getattr(found, "__name__", "")
    builders = [timm.create_model]
    if timm.is_model(name):
        builders.append(timm.models.model_entrypoint(name))
    if name in torchvision.models.list_models():
        builders.append(torchvision.models.get_model_builder(name))
    return any(found is builder for builder in builders)


def is_called(found: Any, name: str) -> bool:
    return inspect.isfunction(found) and found.__name__ == name


def is_dataset(found: Any) -> bool:
    from lightning import LightningDataModule

    return inspect.isclass(found) and issubclass(found, LightningDataModule)


KINDS = {
    "task": Kind("a task", ("sat_exp.tasks", "sat_exp.studies"), lambda found: is_called(found, "run")),
    "attack": Kind("an attack", ("sat_exp.attacks",), inspect.isclass),
    "dataset": Kind("a data set", ("sat_exp.datasets",), is_dataset),
    "hardware": Kind("hardware", ("sat_exp.modules.hardware",), inspect.isclass),
    "tracking": Kind("tracking", ("sat_exp.tracking",), inspect.isclass),
    "network": Kind(
        "a network",
        (*TIMM, "torch.nn", "torchvision.models", "transformers", "sat_exp.models"),
        is_network,
    ),
    "checkpoint_reader": Kind("a reader of weights", ("sat_exp.models",), lambda found: is_called(found, "read")),
}


@contextmanager
def allowing(packages: Collection[str]) -> Iterator[None]:
    """Within the body code of `packages` may be named too."""
    token = _allowed.set((*_allowed.get(), *packages))
    try:
        yield
    finally:
        _allowed.reset(token)


def resolve(name: Any, kind: str, where: str) -> Callable[..., Any]:
    """The class or function called `name`; UserError, before anything is imported, for code that may not be named, and
    for what is not of that kind. where: the setting that names it."""
    of = KINDS[kind]
    extra = (*plugins(), *_allowed.get())
    packages = (*of.packages, *extra)
    if not (isinstance(name, str) and all(part.isidentifier() for part in name.split("."))):
        raise UserError(f"{where}={name}: give the name of {of.noun}, as package.name")
    if not within(name, packages):
        raise UserError(
            f"{where}={name}: configurations name code of {', '.join(of.packages)} only; if you trust that package, "
            f"type 'allow=[{name.split('.')[0]}]'"
        )
    try:
        found = resolve_name(name)
    except Exception as error:
        raise UserError(f"{where}={name} cannot be had: {one_line(error)}") from error
    defined = getattr(found, "__module__", None) or ""
    if not (callable(found) and within(defined, packages) and (within(defined, extra) or of.fits(found))):
        raise UserError(f"{where}={name} is not {of.noun}")
    return found


def check_network(node: Any, where: str) -> None:
    """UserError where a network's configuration, or any part of it, names code that may not be named."""
    if isinstance(node, Mapping):
        if node.get(TARGET) == CLASS_OF and set(node) != {TARGET, "path"}:
            raise UserError(f"{where}: give {CLASS_OF} a path and nothing else")
        if TARGET in node:
            named, key = (node.get("path"), "path") if node[TARGET] == CLASS_OF else (node[TARGET], TARGET)
            resolve(named, "network", f"{where}.{key}")
        for key, value in node.items():
            check_network(value, f"{where}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            check_network(value, f"{where}[{index}]")


def within(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@cache
def plugins() -> tuple[str, ...]:
    """The packages that installed plug-ins offer; what merely lies in the current folder, which Python searches too, is
    not installed."""
    here = Path.cwd().resolve()
    found = []
    for point in entry_points(group=PLUGINS):
        if point.dist is not None and Path(str(point.dist.locate_file(""))).resolve() != here:
            found.append(point.module)
    return tuple(dict.fromkeys(found))
