"""Checks of a model's configuration before anything is loaded; they take a fraction of a second and no memory."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from sat_exp.errors import UserError, one_line
from sat_exp.models import loading
from sat_exp.models.candidate import Preprocessing
from sat_exp.models.weights import check_file, check_sources
from sat_exp.settings.configuration import Input
from sat_exp.settings.schema import checked

NO_VALUES = "meta"
"""A word in the errors of networks whose code reads values, which tensors on the meta device do not have."""

MOST_PIXELS = 4096  # the longest side of an image before it is cropped to a network's input


def check(config: DictConfig) -> None:
    """UserError where the model of `config` has no weights or wrong ones, a wrong `input`, or a network that cannot be
    built, cannot take such images, or does not return one logit per class.

    The network is built and run on PyTorch's meta device, which needs no memory; on the CPU where that is impossible.
    """
    check_sources(config)
    trained = config.pretrained and config.checkpoint is not None
    if trained:
        path = Path(str(config.checkpoint))
        if "checkpoint_reader" not in config:
            check_file(path)
        elif not path.is_file():
            raise UserError(f"model {config.name}: no weights at {path}: give model.checkpoint=PATH")
    own = loading.preprocessing(config)
    check_input(config.name, own)
    network, shape = network_and_shape(config, own)
    if shape != (1, config.classes):
        needed = f"model.classes={config.classes} needs {(1, config.classes)}"
        raise UserError(f"model {config.name}: its network returns logits of shape {shape}, {needed}: correct one")
    if trained:
        loading.weights_of(config, network)


def check_input(name: str, own: Preprocessing) -> None:
    """UserError where `own`, the preprocessing of the model `name`, has wrong values."""
    checked(Input, vars(own), f"model {name}: input")
    if (wide := own.size / own.crop) > MOST_PIXELS:
        images = f"images {wide:.0f} pixels wide; {MOST_PIXELS} are the most: give a larger one"
        raise UserError(f"model {name}: input.size={own.size} and input.crop={own.crop} make {images}")
    if (means := len(own.mean)) != (stds := len(own.std)):
        raise UserError(f"model {name}: input.mean has {means} numbers, input.std {stds}: give one per channel")


def network_and_shape(config: DictConfig, own: Preprocessing) -> tuple[nn.Module, tuple[int, ...]]:
    """The network, on the meta device if possible, and the shape of its output for one image of its input size; the
    expected shape where this machine lacks the memory."""
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
        raise UserError(f"model {config.name}: its network returns {type(logits).__name__}, not a tensor of logits")
    return network, tuple(logits.shape)


@torch.no_grad()
def attempt(config: DictConfig, own: Preprocessing, device: str) -> tuple[nn.Module, Any]:
    """The network, in evaluation mode, and its output for one image; None for the output where memory is too small."""
    shape = (len(own.mean), own.size, own.size)
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = loading.build(config).eval()
        try:
            return network, network(torch.zeros(1, *shape))
        except (torch.OutOfMemoryError, MemoryError):
            return network, None
        except Exception as error:
            failure = f"model {config.name} cannot take images {list(shape)}, which model.input describes"
            raise UserError(f"{failure}: {one_line(error)}") from error
