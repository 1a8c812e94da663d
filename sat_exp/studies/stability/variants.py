"""The variants of a measurement: the same models and images under another attack, seed or protocol."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hydra import compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict

from sat_exp import settings
from sat_exp.attacks import Attack
from sat_exp.errors import UserError, of_hydra
from sat_exp.names import check_choices, folders_with

REFERENCE = "reference"
FIXED = (
    "adversarial",
    "dataset",
    "labels",
    "measure",
    "model",
    "name",
    "output_dir",
    "pool",
    "score",
    "store",
    "target",
    "task",
)
"""What all variants share: they compare matrices of the same models on the same images."""


@dataclass(frozen=True)
class Variant:
    """One way to measure. name: the settings that differ from the reference, as typed. factor: the first of them."""

    factor: str
    name: str
    config: DictConfig


def variants(config: DictConfig, changes: Sequence[str]) -> list[Variant]:
    """The reference, which is `config` itself, then all `changes` of it, settings as on the command line. UserError for
    a change that is no variant, or that repeats another."""
    found = [Variant(REFERENCE, REFERENCE, config)]
    for text in dict.fromkeys(changes):
        overrides = shlex.split(text)
        if not overrides:
            raise UserError("task.changes: a change is empty; give settings such as 'attack.epsilon=4'")
        found.append(Variant(keys_of(overrides)[0].split(".")[-1], text, changed(config, overrides)))
    return found


def keys_of(overrides: Sequence[str]) -> list[str]:
    return [override.partition("=")[0].lstrip("+~") for override in overrides]


def changed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """`config` with other settings, such as attack=mi attack.steps=20. Another attack of the same norm keeps epsilon,
    and has its own step size in proportion to it, unless they are stated. UserError for other settings than those of an
    attack, a seed, a protocol or the hardware."""
    keys = keys_of(overrides)
    for key in keys:
        if key.split(".")[0].split("@")[0] in FIXED or key.startswith("hydra"):
            raise UserError(
                f"task.changes: {key} is the same for all variants; give attack=, attack.*=, seed= or protocol="
            )
    typed = [
        override
        for override in HydraConfig.get().overrides.task
        if not ("attack" in keys and override.startswith(("attack=", "attack.")))
    ]
    check_choices(overrides, folders_with(None))
    composed = composition(GlobalHydra.instance().config_loader(), (*typed, *overrides)).copy()
    if "attack" in keys:
        as_large(composed, config, {key for key in keys if key.startswith("attack.")})
    settings.check_values(composed)
    return composed


@cache
def composition(loader: ConfigLoader, overrides: tuple[str, ...]) -> DictConfig:
    """What `overrides` compose with the files of `loader`: once for the check and the run, as it takes tenths of a
    second."""
    try:
        return compose("config", list(overrides))
    except HydraException as error:
        raise UserError(f"task.changes: {of_hydra(error)}") from error


def as_large(config: DictConfig, reference: DictConfig, typed: set[str]) -> None:
    """Give the attack of `config` the epsilon of the `reference`, if both have one norm and it is not typed."""
    own, other = (settings.build(each.attack, "attack") for each in (config, reference))
    if "attack.epsilon" in typed or own.threat.norm != other.threat.norm or own.threat.epsilon == 0:
        return
    factor = other.threat.epsilon / own.threat.epsilon
    with open_dict(config):
        config.attack.epsilon = settings.plain(reference.attack)["epsilon"]
        if "step_size" in config.attack and "attack.step_size" not in typed:
            config.attack.step_size = factor * own.step_size


def title(attack: Attack) -> str:
    """The attack in a table, such as 'PGD, L∞ ≤ 8/255, 50 steps'."""
    steps = getattr(attack, "steps", None)
    count = f", {steps} step{'s' * (steps > 1)}" if steps else ""
    return f"{type(attack).__name__}, {attack.threat}{count}"
