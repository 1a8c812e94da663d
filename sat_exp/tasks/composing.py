"""The models a task works on, from the composed configuration."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases

TEMPLATE = "timm"  # a model's file that needs an id to become a model


def models(config: DictConfig) -> list[DictConfig]:
    """The pool's models where a pool is chosen, else `model` and, where given, `model@target`."""
    if config.pool is not None:
        return members(list(config.pool.models))
    return [config.model] + ([config.target] if config.target is not None else [])


def sources(config: DictConfig) -> list[DictConfig]:
    """The models that a sweep over `model` handed to this job, else `model`."""
    return members(list(config.sweep.models)) if config.sweep.models else [config.model]


def targets(config: DictConfig) -> list[DictConfig]:
    """The models that a sweep over `model@target` handed to this job, else `model@target`, where given."""
    if config.sweep.targets:
        return members(list(config.sweep.targets), "target")
    return [config.target] if config.target is not None else []


def members(patterns: Sequence[str], typed: str = "model") -> list[DictConfig]:
    """The configurations of the models that `patterns` name, with the `model.KEY=VALUE` settings that were typed."""
    changes = retyped(typed)
    return [changed(stated(name), changes) for name in names(patterns)]


def names(patterns: Sequence[str]) -> list[str]:
    """Model names in the order of `patterns`, globs and aliases resolved, each once; UserError where one fits none."""
    if not patterns:
        raise UserError("the pool has no models: give 'pool.models=[A,B,C]'")
    known = GlobalHydra.instance().config_loader().get_group_options("model")
    other = aliases(CONF)
    found: dict[str, None] = {}
    for pattern in (other.get(pattern, pattern) for pattern in patterns):
        fitting = [name for name in known if fnmatchcase(name, pattern) and (name != TEMPLATE or pattern == TEMPLATE)]
        if not fitting:
            near = difflib.get_close_matches(pattern, [*known, *other], n=3)
            raise UserError(f"no model '{pattern}' in the pool's list" + (f"; near: {', '.join(near)}" if near else ""))
        found |= dict.fromkeys(fitting)
    return list(found)


def member(name: str) -> DictConfig:
    """The configuration of one model of the group, with the `model.KEY=VALUE` settings that were typed."""
    return changed(stated(name), retyped("model"))


def stated(name: str) -> DictConfig:
    """What the file of a model states, without the data set that it chooses."""
    found = GlobalHydra.instance().config_loader().repository.load_config(f"model/{name}")  # type: ignore[attr-defined]
    facts: Any = OmegaConf.to_container(found.config, resolve=False)
    return OmegaConf.create({key: value for key, value in facts.items() if key != "defaults"})


def retyped(prefix: str) -> dict[str, Any]:
    """What was typed on the command line as PREFIX.KEY=VALUE."""
    typed = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return {
        override.key_or_group.removeprefix(f"{prefix}."): override.value()
        for override in typed
        if override.key_or_group.startswith(f"{prefix}.")
    }


def changed(node: DictConfig, changes: dict[str, Any]) -> DictConfig:
    for key, value in changes.items():
        OmegaConf.update(node, key, value, force_add=True)
    return node
