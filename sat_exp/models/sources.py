"""The allowed sources of a network's weights: timm's registry, or a file that the user names.

A network's configuration may come from another person's file. All other ways in which timm and torchvision read files
or download weights are refused, so that `model.pretrained` and `model.checkpoint` alone decide.
"""

from collections.abc import Mapping
from typing import Any

import timm
from omegaconf import DictConfig, OmegaConf
from timm.models import PretrainedCfg

from sat_exp.errors import UserError, nearest, one_line
from sat_exp.settings.targets import TARGET, walked

HUB_TARGET = "timm.create_model"

BARRED = (
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "weights",
    "weights_backbone",
)  # fmt: skip
"""Arguments with which builders of timm and torchvision read or download weights."""

ARGUMENTS = "_args_"


def check_sources(config: DictConfig) -> None:
    """UserError where the network of `config` names weights itself, has a name that timm lacks, or needs published
    weights that do not exist."""
    network = OmegaConf.to_container(config.network, resolve=True)
    check_arguments(network, config.name)
    target = config.network.get(TARGET)
    advice = "give model.checkpoint=PATH, or model.pretrained=false for random weights"
    facts = timm_facts(config) if target == HUB_TARGET else None
    if config.pretrained and config.checkpoint is None:
        if facts is None:
            raise UserError(f"model {config.name}: {target} has no published weights; {advice}")
        if not facts.has_weights:
            raise UserError(f"model {config.name}: timm publishes no weights of {timm_name(config)}: {advice}")


def check_arguments(node: Any, name: str) -> None:
    """UserError for an argument in `node`, or in any part of it, that names weights, by keyword or by position."""
    for _, key, part in walked(node):
        if key in BARRED and part not in (None, False):
            advice = "leave it out, and give model.checkpoint=PATH or model.pretrained=true"
            raise UserError(f"model {name}: network.{key}={part} would read weights: {advice}")
        if isinstance(part, Mapping):
            target, positional = str(part.get(TARGET, "")), part.get(ARGUMENTS) or ()
            package, _, last = target.rpartition(".")
            function = package.split(".")[0] in ("timm", "torchvision") and last[:1].islower()
            if function and len(positional) > (target == HUB_TARGET):  # the second argument chooses weights
                raise UserError(f"model {name}: give {target} its arguments by name, not in {ARGUMENTS}")


def timm_name(config: DictConfig) -> str:
    """The name of the network of `config` in timm."""
    return str(config.network.get("model_name") or next(iter(config.network.get(ARGUMENTS) or ()), ""))


def timm_facts(config: DictConfig) -> PretrainedCfg:
    """timm's record of the network of `config`; UserError, with the nearest names, where there is none.

    The prefixes hf-hub: and local-dir: are refused. With them another person's file would choose the architecture.
    """
    name = timm_name(config)
    architecture = name.partition(".")[0]
    if ":" in name or "/" in name:
        advice = "give the name of its architecture, and model.checkpoint=PATH of its weights"
        raise UserError(f"model {config.name}: {name} is no name in timm's registry, the only one read: {advice}")
    if not timm.is_model(architecture):
        near = nearest(name, [*timm.list_models(), *timm.list_pretrained()])
        advice = " or ".join(near) or "one of timm.list_models()"
        raise UserError(f"model {config.name}: timm has no such model: give model.id={advice}")
    try:
        facts = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        known = timm.list_pretrained(f"{architecture}.*")
        near = nearest(name, known) or known or [architecture]
        raise UserError(f"model {config.name}: {one_line(error).rstrip('.')}; choose {', '.join(near)}") from error
    return facts if facts is not None else PretrainedCfg()
