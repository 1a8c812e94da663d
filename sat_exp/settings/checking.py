"""Checks of a configuration, and building of objects from its groups."""

import gc
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sat_exp.deferred import uncollected
from sat_exp.errors import UserError
from sat_exp.names import choose, files_of
from sat_exp.progress import waiting
from sat_exp.settings import targets
from sat_exp.settings.configuration import GROUPS, Configuration, Model
from sat_exp.settings.schema import checked
from sat_exp.settings.signatures import signature_of
from sat_exp.settings.targets import TARGET, named_by, permitted, resolve, walked

SECRET = re.compile(r"(?i)(api_?key|access_?key|secret|passw(or)?d|credentials?|(?<!class_)(?<!dist_)token)$")
"""Names of settings that hold secrets. A class token and a distillation token are parts of networks."""


def check(config: DictConfig) -> None:
    """UserError for the first error that `check_values`, which comes before, cannot tell: by the function `check` next
    to the task's `run`. Code is imported, models and images may be loaded; nothing is written."""
    with waiting("loading libraries and models"), allowing(config), uncollected():
        function, values = chosen_task(config)
        check_task: Callable[..., None] | None = getattr(sys.modules[function.__module__], "check", None)
        if check_task is not None:
            check_task(config, **values)
        gc.freeze()


def check_values(config: DictConfig) -> None:
    """UserError for the first setting with a value of a wrong type or out of range, an unknown name, or a secret, as
    far as can be told from signatures in source files: importing the code that the settings name takes seconds."""
    whole = plain(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    hydra = HydraConfig.get()
    for name, folder in (("run.dir", hydra.run.dir), ("sweep.dir", hydra.sweep.dir)):
        if not str(folder).strip():
            raise UserError(f"hydra.{name}={folder}: give the path of a folder")
    check_secrets(whole | {"hydra.job.env_set": dict(hydra.job.env_set)})
    for group in GROUPS:
        if not (isinstance(whole.get(group), dict) and TARGET in whole[group]):
            raise UserError(f"{group}={whole.get(group)}: give {choose(whole.get(group), files_of(group))}")
    check_resolved(whole)
    checked(Configuration, whole)
    with allowing(config):
        for group in GROUPS:
            permitted(whole[group][TARGET], group, f"{group}.{TARGET}")
            if (signature := signature_of(whole[group][TARGET])) is not None:
                checked(signature, {key: value for key, value in whole[group].items() if key != TARGET}, group)
        check_measures(whole["measure"])
        for one in ("model", "target"):
            if config[one] is not None:
                check_model(config[one], one)


def check_measures(chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """UserError where a measure names no code, code that is not allowed, or wrong settings."""
    for name, own in chosen.items():
        where = f"measure.{name}"
        if TARGET not in own:
            raise UserError(
                f"{where} has no {TARGET}: choose it as measure=[NAME], {choose(name, files_of('measure'))}"
            )
        permitted(own[TARGET], "measure", f"{where}.{TARGET}")
        if (signature := signature_of(own[TARGET])) is not None:
            checked(signature, {key: value for key, value in own.items() if key != TARGET}, where)


def check_model(model: DictConfig, where: str) -> None:
    """UserError where a model's configuration is wrong, or names code that is not allowed. where: model or target."""
    stated = plain(model)
    check_resolved(stated, where)
    checked(Model, stated, where)
    for place, name in named_by(stated["network"], f"{where}.network"):
        permitted(name, "network", place)
    if TARGET not in stated["network"]:
        raise UserError(f"{where}.network has no {TARGET}: give the name of a network, as package.name")
    if "checkpoint_reader" in stated:
        permitted(stated["checkpoint_reader"], "checkpoint_reader", f"{where}.checkpoint_reader")


def build(node: DictConfig, group: str, where: str | None = None, **changes: Any) -> Any:
    """The object that a group names by `_target_`, built with the group's settings and `changes` to them. where: the
    full name of the settings, if it is not that of the group."""
    target, values = parts(plain(node) | changes, group, where or group)
    return target(**checked(target, values, where or group))


def chosen_task(config: DictConfig) -> tuple[Callable[..., None], dict[str, Any]]:
    """The function of the task, and its settings."""
    function, values = parts(plain(config.task), "task", "task")
    return function, checked(function, values, "task")


def parts(node: Mapping[str, Any], group: str, where: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The object that a group names by `_target_`, and its settings."""
    target = resolve(node.get(TARGET), group, f"{where}.{TARGET}")
    return target, {key: value for key, value in node.items() if key != TARGET}


@contextmanager
def allowing(config: DictConfig) -> Iterator[None]:
    """Within the body, allow code of the packages typed in `allow=`; UserError where a file sets `allow`."""
    typed: list[str] = []
    for override in OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)):
        if override.key_or_group == "allow":
            value = override.value()
            typed = [str(name) for name in value] if isinstance(value, list) else []
    if list(config.allow) != typed:
        raise UserError("allow= is only taken from the command line: type 'allow=[PACKAGE]'")
    with targets.allowing(typed):
        yield


def check_secrets(settings: dict[str, Any]) -> None:
    """UserError for a setting with the name of a secret, because settings are kept in files and sent to W&B."""
    for name, key, _ in walked(settings):
        if SECRET.search(str(key)):
            advice = "leave it out, and give secrets in the environment, such as WANDB_API_KEY"
            raise UserError(f"{name} would be kept in the run's folder: {advice}")


def check_resolved(node: Any, where: str = "") -> None:
    """UserError for an interpolation left in a value: the next reader of the settings would resolve it."""
    for name, _, value in walked(node, where):
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{name} contains an interpolation: give its value")


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of a configuration as plain dictionaries, lists and values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
