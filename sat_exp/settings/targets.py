"""The code that a configuration may name by `_target_`: known packages, installed plug-ins, and packages that the user
allows by typing `allow=[PACKAGE]`. Data never name other code."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import Any

from sat_exp import plugins
from sat_exp.errors import UserError, one_line

TARGET = "_target_"

TIMM = ("timm.create_model", "timm.models", "timm.layers")  # other parts of timm read weights by themselves
CLASS_OF = "hydra.utils.get_class"  # the target that stands for the class named by its `path`
_allowed: ContextVar[tuple[str, ...]] = ContextVar("allowed", default=())


@dataclass(frozen=True)
class Kind:
    """What one setting may name."""

    noun: str  # its kind in words
    packages: tuple[str, ...]  # where it may come from
    fits: Callable[[Any], bool]  # whether an object of those packages is of this kind
    plugins: str | None = None  # the group of entry points of plug-ins that offer further ones
    name: str = ""  # the name that it must have; empty for any


def is_network(target: Any) -> bool:
    """Whether `target` is a class of modules, one of timm's dataclasses, or a builder of timm or torchvision."""
    import timm
    import torchvision
    from torch import nn

    if inspect.isclass(target):
        return issubclass(target, nn.Module) or (is_dataclass(target) and within(target.__module__, ["timm"]))
    name = getattr(target, "__name__", "")
    builders = [timm.create_model]
    if timm.is_model(name):
        builders.append(timm.models.model_entrypoint(name))
    if name in torchvision.models.list_models():
        builders.append(torchvision.models.get_model_builder(name))
    return any(target is builder for builder in builders)


DATA_SETS = ("sat_exp.datasets.data_set.DataSet", "lightning.pytorch.core.datamodule.LightningDataModule")


def is_dataset(target: Any) -> bool:
    """Whether `target` is a class of data sets or of Lightning's data modules, without an import of Lightning."""
    if not inspect.isclass(target) or inspect.isabstract(target):
        return False
    return any(f"{base.__module__}.{base.__qualname__}" in DATA_SETS for base in target.__mro__)


NETWORKS = (*TIMM, "torch.nn", "torchvision.models", "transformers", "sat_exp.models")
KINDS = {
    "task": Kind("a task", ("sat_exp.tasks", "sat_exp.studies"), inspect.isfunction, "sat_exp.studies", "run"),
    "attack": Kind("an attack", ("sat_exp.attacks",), inspect.isclass, "sat_exp.attacks"),
    "dataset": Kind("a data set", ("sat_exp.datasets",), is_dataset, "sat_exp.datasets"),
    "hardware": Kind("hardware", ("sat_exp.modules.hardware",), inspect.isclass),
    "engine": Kind("an engine", ("sat_exp.engine",), inspect.isclass),
    "tracking": Kind("tracking", ("sat_exp.tracking",), inspect.isclass),
    "measure": Kind("a measure", ("sat_exp.similarity.measures",), inspect.isfunction, "sat_exp.measures", "measure"),
    "network": Kind("a network", NETWORKS, is_network, "sat_exp.models"),
    "checkpoint_reader": Kind("a reader of weights", ("sat_exp.models",), inspect.isfunction, "sat_exp.models", "read"),
}


@contextmanager
def allowing(packages: Collection[str]) -> Iterator[None]:
    """Within the body, configurations may name code of `packages` too."""
    token = _allowed.set((*_allowed.get(), *packages))
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed() -> tuple[str, ...]:
    """The packages that configurations may name besides known ones, as `allowing` states."""
    return _allowed.get()


def resolve(name: Any, kind: str, where: str) -> Callable[..., Any]:
    """The class or function that the setting `where` names. UserError for code that may not be named, before it is
    imported, and for an object of another kind."""
    wanted, extra = KINDS[kind], permitted(name, kind, where)
    try:
        target = imported(name)
    except Exception as error:
        raise UserError(f"{where}={name} cannot be imported: {one_line(error)}") from error
    defined = getattr(target, "__module__", None) or ""
    fits = within(defined, extra) or (within(defined, wanted.packages) and wanted.fits(target))
    if not (callable(target) and fits):
        raise UserError(f"{where}={name} is not {wanted.noun}")
    return target


def permitted(name: Any, kind: str, where: str) -> tuple[str, ...]:
    """The packages of plug-ins and those that the user allows for this kind of code. UserError where `name`, the value
    of the setting `where`, is of no package that it may be of."""
    wanted = KINDS[kind]
    extra = (*(plugins.packages(wanted.plugins) if wanted.plugins else ()), *_allowed.get())
    known = ", ".join(wanted.packages)
    if not (isinstance(name, str) and all(part.isidentifier() for part in name.split("."))):
        raise UserError(f"{where}={name}: give the name of {wanted.noun}, as package.name")
    if not within(name, (*wanted.packages, *extra)):
        advice = f"if you trust that package, type 'allow=[{name.split('.')[0]}]'"
        raise UserError(f"{where}={name}: configurations name code of {known} only; {advice}")
    if wanted.name and not within(name, extra) and name.rpartition(".")[2] != wanted.name:
        raise UserError(f"{where}={name} is not {wanted.noun}, which is called {wanted.name}")
    return extra


def imported(name: str) -> Any:
    """The object of a dotted name. Unlike `pkgutil.resolve_name` it raises the error of a module that cannot be
    imported."""
    top, *parts = name.split(".")
    target: Any = import_module(top)
    for part in parts:
        if inspect.ismodule(target) and hasattr(target, "__path__") and not hasattr(target, part):
            import_module(f"{target.__name__}.{part}")
        target = getattr(target, part)
    return target


def check_network(node: Any, where: str) -> None:
    """UserError if a network's configuration, or any part of it, names what is no network or may not be named."""
    for place, name in named_by(node, where):
        resolve(name, "network", place)


def named_by(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The settings in a network's configuration that name code, and the names that they give."""
    for place, _, part in walked(node, where):
        if isinstance(part, Mapping) and TARGET in part:
            by_class = part[TARGET] == CLASS_OF
            if by_class and set(part) != {TARGET, "path"}:
                raise UserError(f"{place}: give {CLASS_OF} a path and nothing else")
            key = "path" if by_class else TARGET
            yield f"{place}.{key}", part[key]


def walked(node: Any, where: str = "", key: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """The full name, the last part of it, and the value of `node` and of every setting in it, however deep."""
    yield where, key, node
    if isinstance(node, Mapping):
        for inner, value in node.items():
            yield from walked(value, f"{where}.{inner}" if where else str(inner), inner)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from walked(value, f"{where}[{index}]", index)


def within(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
