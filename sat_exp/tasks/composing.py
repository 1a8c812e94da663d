"""The models a task works on, from the composed configuration."""

import difflib
from fnmatch import fnmatchcase
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError


def models(config: DictConfig) -> list[DictConfig]:
    """The pool's models where a pool is chosen, else `model` and, where given, `model@target`."""
    if config.pool is not None:
        return [member(name) for name in names(list(config.pool.models))]
    return [config.model] + ([config.target] if config.target is not None else [])


def names(patterns: list[str]) -> list[str]:
    """Model names in the order of `patterns`, globs expanded, each once; UserError for a pattern that fits none."""
    if not patterns:
        raise UserError("the pool has no models: give 'pool.models=[A,B,C]'")
    loader = GlobalHydra.instance().config_loader()
    known = loader.get_group_options("model")
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = [name for name in known if fnmatchcase(name, pattern)]
        if not matches:
            near = difflib.get_close_matches(pattern, known, n=3)
            raise UserError(f"no model '{pattern}' in the pool's list" + (f"; near: {', '.join(near)}" if near else ""))
        found |= dict.fromkeys(matches)
    return list(found)


def member(name: str) -> DictConfig:
    """The configuration of one model of the group, without the data set its file chooses."""
    found = GlobalHydra.instance().config_loader().repository.load_config(f"model/{name}")  # type: ignore[attr-defined]
    facts: Any = OmegaConf.to_container(found.config, resolve=False)
    return OmegaConf.create({key: value for key, value in facts.items() if key != "defaults"})
