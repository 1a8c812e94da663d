"""Prints what the early check says about a wrong value of every setting, and which heavy packages were imported."""

import copy
import json
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from sat_exp.console.checks import check_early
from sat_exp.errors import UserError
from sat_exp.names import CONF, files_of
from sat_exp.settings.configuration import GROUPS, Configuration
from sat_exp.settings.signatures import signature_of
from sat_exp.settings.targets import TARGET

WRONG = {"wrong": "type"}
NEEDED = {
    "benchmark": ["task.runs=[sat_exp]", "task.groups=pyproject.toml"],
    "compare": ["reference=pyproject.toml"],
    "distill": ["task.students=[A]", "task.teachers=[B]"],
}


def refused(config, name, wrong=WRONG):
    """The message about a wrong value of one setting of `config`; empty if it is accepted."""
    changed = copy.deepcopy(config)
    OmegaConf.update(changed, name, wrong, merge=False, force_add=True)
    HydraConfig.instance().set_config(changed)
    try:
        check_early(changed)
    except UserError as error:
        return str(error)
    return ""


messages = {}
with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
    for group in GROUPS:
        for choice in files_of(group):
            overrides = [f"{group}={choice}", *NEEDED.get(choice, [])]
            config = hydra.compose("config", overrides=overrides, return_hydra_config=True)
            OmegaConf.set_struct(config, False)
            HydraConfig.instance().set_config(config)
            check_early(config)
            for name, hint in signature_of(config[group][TARGET]).__annotations__.items():
                if "Any" not in str(hint) and name != "name":  # the name of a task is a part of the name of its run
                    messages[f"{group}.{name}"] = refused(config, f"{group}.{name}")
            messages[f"{group}.unheard_of"] = refused(config, f"{group}.unheard_of")
    for name in files_of("measure"):
        config = hydra.compose("config", overrides=[f"measure={name}"], return_hydra_config=True)
        OmegaConf.set_struct(config, False)
        HydraConfig.instance().set_config(config)
        for setting in (*signature_of(config.measure[name][TARGET]).__annotations__, "unheard_of", TARGET):
            messages[f"measure.{name}.{setting}"] = refused(config, f"measure.{name}.{setting}")
    messages["no model 'fashion_vt'"] = refused(config, "pool", {"name": "own", "models": ["fashion_vt"]})
    others = {*GROUPS, "measure", "model", "target", "allow", "reference_images"}
    for name in Configuration.__annotations__.keys() - others:
        messages[name] = refused(config, name)
    for name in ("name", "classes", "pretrained", "checkpoint", "input.size", "components.stem", "unheard_of"):
        messages[f"model.{name}"] = refused(config, f"model.{name}")
heavy = [name for name in ("torch", "timm", "lightning", "torchvision", "wandb", "matplotlib") if name in sys.modules]
print(json.dumps({"messages": messages, "heavy": heavy}))
