"""The checks of a configuration, and how an object is built from a part of one."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError
from sat_exp.names import choices_of, choose
from sat_exp.settings import targets
from sat_exp.settings.configuration import GROUPS, Configuration, Model
from sat_exp.settings.schema import checked
from sat_exp.settings.targets import TARGET, check_network, resolve

SECRET = re.compile(
    r"(api_?key|access_?key|secret|passw(or)?d|credentials?|(?<!class_)(?<!dist_)token)$", re.IGNORECASE
)
"""Names of secrets; a class token and a distillation token are parts of networks."""


def check(config: DictConfig) -> None:
    """Raise UserError for the first thing that is wrong with a composed configuration; nothing is loaded or written.

    The task is asked as well: where its module has a function `check`, that is called as its `run` would be.
    """
    check_values(config)
    with allowing(config):
        function, values = chosen_task(config)
        of_task: Callable[..., None] | None = getattr(sys.modules[function.__module__], "check", None)
        if of_task is not None:
            of_task(config, **values)


def check_values(config: DictConfig) -> None:
    """Raise UserError for the first setting whose value is of a wrong type, out of range, unknown, or a secret."""
    whole = plain(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    hydra = HydraConfig.get()
    for name, folder in (("run.dir", hydra.run.dir), ("sweep.dir", hydra.sweep.dir)):
        if not str(folder).strip():
            raise UserError(f"hydra.{name}={folder}: give the path of a folder")
    check_output(whole["output_dir"])
    check_secrets(whole)
    check_secrets(dict(hydra.job.env_set), "hydra.job.env_set")
    for group in GROUPS:
        if not (isinstance(whole.get(group), dict) and TARGET in whole[group]):
            raise UserError(f"{group}={whole.get(group)}: give {choose(whole.get(group), choices_of(group))}")
    check_resolved(whole)
    checked(Configuration, whole)
    with allowing(config):
        for group in GROUPS:
            checked(*parts(whole[group], group), prefix=group)
        for one in ("model", "target"):
            if whole[one] is not None:
                check_model(config[one], one)


def check_model(model: DictConfig, where: str) -> None:
    """Raise UserError where a model's configuration is wrong, or names code that may not be named."""
    stated = plain(model)
    check_resolved(stated, where)
    checked(Model, stated, where)
    check_network(stated["network"], f"{where}.network")
    if TARGET not in stated["network"]:
        raise UserError(f"{where}.network has no {TARGET}: give the name of a network, as package.name")
    if "checkpoint_reader" in stated:
        resolve(stated["checkpoint_reader"], "checkpoint_reader", f"{where}.checkpoint_reader")


def build(node: DictConfig, group: str, **changes: Any) -> Any:
    """The object that a group of a configuration names by `_target_`, with its settings and `changes` to them."""
    target, values = parts(plain(node) | changes, group)
    return target(**checked(target, values, group))


def chosen_task(config: DictConfig) -> tuple[Callable[..., None], dict[str, Any]]:
    """The function of the task, and its settings."""
    function, values = parts(plain(config.task), "task")
    return function, checked(function, values, "task")


def parts(node: Mapping[str, Any], group: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What a group names by `_target_`, and the settings of that."""
    target = resolve(node.get(TARGET), group, f"{group}.{TARGET}")
    return target, {key: value for key, value in node.items() if key != TARGET}


@contextmanager
def allowing(config: DictConfig) -> Iterator[None]:
    """Within the body code of the packages that the user typed in `allow=` may be named.

    UserError where a file says `allow`.
    """
    typed: list[str] = []
    for override in OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)):
        if override.key_or_group == "allow":
            value = override.value()
            typed = [str(name) for name in value] if isinstance(value, list) else []
    if list(config.allow) != typed:
        raise UserError("allow= is only taken from the command line: type 'allow=[PACKAGE]'")
    with targets.allowing(typed):
        yield


def check_secrets(node: Any, where: str = "") -> None:
    """UserError for a setting that is called like a secret: settings are kept in files and sent to W&B."""
    for name, _ in walked(node, where):
        if SECRET.search(name.rpartition(".")[2]):
            raise UserError(
                f"{name} would be kept in the run's folder: leave it out, and give secrets in the environment, such as "
                "WANDB_API_KEY"
            )


def check_output(path: Any) -> None:
    """UserError where `output_dir` leads through something that is no folder."""
    place = Path(str(path)).absolute() if path else Path()
    for folder in (place, *place.parents):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"output_dir={path}: {folder} is no folder, give another")


def check_resolved(node: Any, where: str = "") -> None:
    """UserError where a value still reads as an interpolation: it would be resolved when it is read again."""
    for name, value in walked(node, where):
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{name} is put together to an interpolation: give its value")


def walked(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The full name and the value of every setting in a part of a configuration, however deep."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        name = f"{where}.{key}" if where else str(key)
        yield name, value
        yield from walked(value, name)


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of a configuration as plain dictionaries, lists and values, interpolations resolved."""
    found: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    return found
