"""What is checked of a model's configuration before anything is loaded: a fraction of a second, and no memory."""

import math
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from sat_exp.errors import UserError, one_line
from sat_exp.models import loading
from sat_exp.models.candidate import Preprocessing
from sat_exp.models.sources import HUB_TARGET, check_sources
from sat_exp.models.weights import check_file

INTERPOLATIONS = ("bicubic", "bilinear")
"""What PyTorch can resize with antialiasing by, and differentiate."""

NO_VALUES = "meta"
"""What errors speak of where a network's code looks at values that a tensor on the meta device does not have."""

MOST_PIXELS = 4096
"""The longest side of a network's input."""


def check(config: DictConfig) -> None:
    """UserError where `config` describes no model that could be loaded: its weights are nowhere, its input facts make
    no sense or are those of another network, its network cannot be built, or gives other logits than one a class.

    The network is built and tried without values, on PyTorch's meta device; one that cannot be is built in full.
    """
    check_sources(config)
    check_checkpoint(config)
    own = loading.preprocessing(config)
    check_input(config.name, own)
    network, shape = tried(config, own)
    if shape != (1, config.classes):
        raise UserError(
            f"model {config.name}: its network gives logits of shape {shape}, model.classes={config.classes} asks for "
            f"{(1, config.classes)}: correct one of the two"
        )
    if config.pretrained and config.checkpoint is not None:
        loading.weights_of(config, network)


def check_checkpoint(config: DictConfig) -> None:
    """UserError where weights are asked for that are nowhere."""
    if not config.pretrained:
        return
    if config.checkpoint is not None:
        if "checkpoint_reader" not in config:
            check_file(Path(str(config.checkpoint)))
        elif not Path(str(config.checkpoint)).is_file():
            raise UserError(f"model {config.name}: no weights at {config.checkpoint}: give model.checkpoint=PATH")
    elif config.network.get("_target_") != HUB_TARGET:
        loading.refuse_unpublished(config)


def check_input(name: str, own: Preprocessing) -> None:
    """UserError where the input facts `own` of the model `name` make no sense."""
    if not (type(own.size) is int and 1 <= own.size <= MOST_PIXELS):
        raise UserError(f"model {name}: input.size={own.size}: give a whole number of pixels, 1 to {MOST_PIXELS}")
    if own.interpolation not in INTERPOLATIONS:
        raise UserError(
            f"model {name}: input.interpolation={own.interpolation} is not known: choose {' or '.join(INTERPOLATIONS)}"
        )
    if not (is_number(own.crop) and 0 < own.crop <= 1):
        raise UserError(f"model {name}: input.crop={own.crop}: give the share that is kept, above 0, at most 1")
    if (wide := own.size / own.crop) > MOST_PIXELS:
        raise UserError(
            f"model {name}: input.size={own.size} and input.crop={own.crop} make images {wide:.0f} pixels wide; "
            f"{MOST_PIXELS} are the most: give a larger crop"
        )
    mean, std = list(own.mean), list(own.std)
    if not 1 <= len(mean) == len(std):
        raise UserError(f"model {name}: input.mean has {len(mean)} numbers, input.std {len(std)}: give one a channel")
    if not all(map(is_number, mean + std)) or min(std) <= 0:
        raise UserError(f"model {name}: input.mean={mean}, input.std={std}: give numbers, those of std above 0")


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def tried(config: DictConfig, own: Preprocessing) -> tuple[nn.Module, tuple[int, ...]]:
    """The network, without values where it can be built so, and the shape of what it gives for one image of its input
    size; of logits as they should be, where this machine lacks the memory to say."""
    for device in ("meta", "cpu"):
        try:
            network, logits = attempt(config, own, device)
            break
        except UserError as error:
            if device == "cpu" or NO_VALUES not in str(error).lower():
                raise
    if logits is None:
        return network, (1, config.classes)
    if not isinstance(logits, Tensor):
        raise UserError(f"model {config.name}: its network gives {type(logits).__name__}, not a tensor of logits")
    return network, tuple(logits.shape)


@torch.no_grad()
def attempt(config: DictConfig, own: Preprocessing, device: str) -> tuple[nn.Module, Any]:
    """The network, in evaluation, and what it says of one image, None where there is no memory for that; random numbers
    elsewhere stay as they would have been."""
    shape = (len(own.mean), own.size, own.size)
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = loading.build(config).eval()
        try:
            return network, network(torch.zeros(1, *shape))
        except (torch.OutOfMemoryError, MemoryError):
            return network, None
        except Exception as error:
            raise UserError(
                f"model {config.name} cannot take images {list(shape)}, which model.input describes: {one_line(error)}"
            ) from error
