"""The models of a task, from the composed configuration."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sat_exp.errors import UserError
from sat_exp.names import CONF, aliases, suggest
from sat_exp.settings import plain
from sat_exp.settings.checking import check_secrets

TEMPLATE = "timm"  # a model's file that needs an id to become a model


def models(config: DictConfig) -> list[DictConfig]:
    """The models of the pool; without a pool `model` and, if it is set, `model@target`."""
    if config.pool is not None:
        refuse_settings_of_one_model()
        return members(config.pool.models, "pool.models")
    return distinct([config.model] + ([config.target] if config.target is not None else []))


def sources(config: DictConfig) -> list[DictConfig]:
    """The models that a sweep over `model` handed to this job, else `model`."""
    if len(config.sweep.models) < 2:
        return [config.model]
    refuse_settings_of_one_model()
    return members(config.sweep.models, "sweep.models")


def targets(config: DictConfig) -> list[DictConfig]:
    """The models that a sweep over `model@target` handed to this job, else `model@target`, if it is set."""
    if config.sweep.targets:
        return members(config.sweep.targets, "sweep.targets")
    return [config.target] if config.target is not None else []


def members(patterns: Sequence[str], where: str) -> list[DictConfig]:
    """The models that `patterns` in the setting `where` name; `model.pretrained=` on the command line is for all.
    UserError for a secret in one of their files."""
    everywhere = {key: value for key, value in retyped("model").items() if key == "pretrained"}
    found = {name: changed(stated(name), **everywhere) for name in names(patterns, where)}
    check_secrets({f"model {name}": plain(model) for name, model in found.items()})
    return list(found.values())


def refuse_settings_of_one_model() -> None:
    if own := sorted(key for key in retyped("model") if key != "pretrained"):
        advice = "several are chosen: give it in a file of that model, conf/model/NAME.yaml"
        raise UserError(f"model.{own[0]}= is a setting of one model, and {advice}")


def distinct(chosen: Sequence[DictConfig]) -> list[DictConfig]:
    """Each model once; UserError where two of a name are not the same."""
    found: dict[str, DictConfig] = {}
    for model in chosen:
        first = found.setdefault(model.name, model)
        if OmegaConf.to_container(first, resolve=True) != OmegaConf.to_container(model, resolve=True):
            raise UserError(f"two different models are called {model.name}: give one of them another model.name=")
    return list(found.values())


def names(patterns: Sequence[str], where: str = "pool.models") -> list[str]:
    """Names of the models that `patterns` (names, globs, aliases) fit, each once; UserError if one fits none."""
    if not patterns:
        raise UserError("the pool has no models: give 'pool.models=[A,B,C]'")
    known, by_alias = choices(), aliases(CONF)
    chosen: dict[str, None] = {}
    for pattern in (by_alias.get(str(pattern), str(pattern)) for pattern in patterns):
        fitting = [name for name in known if fnmatchcase(name, pattern) and (name != TEMPLATE or pattern == TEMPLATE)]
        if not fitting:
            raise UserError(f"{where}: no model {pattern[:60]!r}; {suggest(pattern, [*known, *by_alias])}")
        chosen |= dict.fromkeys(fitting)
    return list(chosen)


def choices() -> list[str]:
    """The names of all models' files."""
    return GlobalHydra.instance().config_loader().get_group_options("model")


def stated(name: str) -> DictConfig:
    """The configuration in a model's file, without its choice of a data set; UserError if it builds on another file."""
    return OmegaConf.create(_read(GlobalHydra.instance().config_loader(), name))


@cache
def _read(loader: ConfigLoader, name: str) -> dict[str, Any]:
    """What `stated` gives, as plain values.

    Hydra's public functions compose whole configurations only. Its loader's `repository` reads a single file.
    """
    found = loader.repository.load_config(f"model/{name}")  # type: ignore[attr-defined]
    if any(not (default.is_override() or default.is_self()) for default in found.defaults_list):
        raise UserError(f"model {name} builds on another file: with a pool or a sweep, its own must state everything")
    facts: Any = OmegaConf.to_container(found.config, resolve=False)
    return {key: value for key, value in facts.items() if key != "defaults"}


def retyped(prefix: str) -> dict[str, Any]:
    """The values by key of the overrides PREFIX.KEY=VALUE on the command line."""
    typed = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return {
        override.key_or_group.removeprefix(f"{prefix}."): override.value()
        for override in typed
        if override.key_or_group.startswith(f"{prefix}.")
    }


def changed(model: DictConfig, **settings: Any) -> DictConfig:
    """A copy of a model's configuration with other settings."""
    return OmegaConf.create(plain(model) | settings)
