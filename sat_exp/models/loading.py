"""From a model's configuration to a classifier with the weights it names, or one line that says why not."""

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from huggingface_hub import constants as hub
from huggingface_hub.utils import get_session
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sat_exp.errors import UserError, one_line
from sat_exp.models import components
from sat_exp.models.classifier import Classifier

HUB_TARGET = "timm.create_model"


@dataclass(frozen=True)
class Model:
    """A classifier, ready to be attacked, and what identifies it.

    `fingerprint` is a SHA-256 over the weights, the network's configuration, its preprocessing and a probe of its code:
    two models with the same fingerprint compute the same function.
    """

    name: str
    family: str
    label_space: str
    pretrained: bool
    parameters: int
    fingerprint: str
    classifier: Classifier


def load(config: DictConfig) -> Model:
    """Build the network `config` describes and load its weights.

    Weights come from `checkpoint` where it is given, else from timm's hub; random weights only where `pretrained` is
    false. Raises UserError when they cannot be had or do not fit.
    """
    if config.checkpoint is not None and config.pretrained:
        network = build(config)
        reader = get_method(config.checkpoint_reader) if "checkpoint_reader" in config else read_state
        in_order = config.get("checkpoint_keys") == "in_order"
        load_weights(network, Path(config.checkpoint), in_order=in_order, reader=reader)
    elif config.pretrained:
        network = from_hub(config)
    else:
        torch.manual_seed(config.get("training", {}).get("seed", 0))
        network = build(config)
    own = preprocessing(config)
    classifier = Classifier(
        network, size=own.size, mean=own.mean, std=own.std, interpolation=own.interpolation
    ).freeze()
    return Model(
        name=config.name,
        family=config.family,
        label_space=config.label_space,
        pretrained=config.pretrained,
        parameters=sum(parameter.numel() for parameter in network.parameters()) or config.get("parameters") or 0,
        fingerprint=fingerprint(classifier, config, own),
        classifier=classifier,
    )


def preprocessing(config: DictConfig) -> DictConfig:
    """The input facts of a model: size, mean, std, interpolation, crop; timm's own where the file leaves them out."""
    return config.input or timm_input(config)


def components_of(config: DictConfig, network: nn.Module) -> dict[str, Any]:
    """The components that the model's file states, the others derived from its network.

    Raises UserError where the network does not let itself be looked at.
    """
    stated = stated_components(config)
    if stated.keys() >= set(components.COMPONENTS):
        return stated
    own = preprocessing(config)
    return components.derive(network, len(own.mean), own.size) | stated


def stated_components(config: DictConfig) -> dict[str, Any]:
    """The components that the model's file states."""
    return {key: value for key, value in (config.get("components") or {}).items() if value is not None}


def flops(config: DictConfig) -> int:
    """Multiply-adds of the network of `config` for one image, which papers call FLOPs: 4.1e9 for a ResNet-50.

    They are those of convolutions, matrix products and attention, counted without computing anything.
    """
    own = preprocessing(config)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(config).eval()(torch.empty(1, len(own.mean), own.size, own.size))
    return counter.get_total_flops() // 2


def timm_input(config: DictConfig) -> DictConfig:
    """What timm says of the images that a published model takes, in the form of `input`."""
    facts = timm.get_pretrained_cfg(config.network.get("model_name", ""), allow_unregistered=True)
    if facts is None or facts.architecture is None:
        near = difflib.get_close_matches(config.network.get("model_name", ""), timm.list_models(), n=3)
        raise UserError(f"model {config.name}: timm has no such model" + (f"; near: {', '.join(near)}" if near else ""))
    return OmegaConf.create(
        {
            "size": facts.input_size[-1],
            "mean": list(facts.mean),
            "std": list(facts.std),
            "interpolation": facts.interpolation,
            "crop": facts.crop_pct,
        }
    )


def build(config: DictConfig) -> nn.Module:
    """The network of `config` with freshly initialised weights."""
    try:
        return instantiate(config.network, _convert_="all")
    except Exception as error:
        raise UserError(f"model {config.name}: the network could not be built: {one_line(error)}") from error


def from_hub(config: DictConfig) -> nn.Module:
    """The network of `config` with timm's published weights, downloaded once into the hub's cache."""
    if config.network._target_ != HUB_TARGET:
        raise UserError(
            f"model {config.name}: {config.network._target_} has no published weights; "
            "give model.checkpoint=PATH, or model.pretrained=false for random weights"
        )
    try:
        with without_retries():
            return instantiate(config.network, pretrained=True, _convert_="all")
    except Exception as error:
        raise UserError(
            f"model {config.name}: no weights of {config.network.model_name} could be had from the hub "
            f"({one_line(error)}): give model.checkpoint=PATH, connect to the internet, or try experiment=quickstart, "
            "which needs no download"
        ) from error


@contextmanager
def without_retries() -> Iterator[None]:
    """Where the hub does not answer, look only in its cache, at once, instead of asking again for a minute."""
    try:
        get_session().head(hub.ENDPOINT, timeout=5)
    except Exception:
        before, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True
        try:
            yield
        finally:
            hub.HF_HUB_OFFLINE = before
    else:
        yield


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file or a PyTorch file of plain tensors (never unpickles code)."""
    if not path.is_file():
        raise UserError(f"no weights at {path}: give model.checkpoint=PATH to a .safetensors, .pth or .pt file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path} is not a readable weights file: {one_line(error)}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} does not hold named tensors: save the network's state_dict()")
    return state


def load_weights(
    network: nn.Module, path: Path, *, in_order: bool = False, reader: Callable[[Path], dict[str, Tensor]] = read_state
) -> None:
    """Copy the weights that `reader` finds at `path` into `network`, by name, or `in_order` where only names differ.

    Raises UserError where anything is missing, left over or of another shape.
    """
    state = reader(path)
    expected = network.state_dict()
    if in_order:
        if len(state) != len(expected):
            raise UserError(
                f"{path} holds {len(state)} tensors, the network {len(expected)}: they cannot match in order"
            )
        state = dict(zip(expected, state.values(), strict=True))
    wrong = [
        f"{name} is {tuple(state[name].shape)} not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    if wrong or missing or extra:
        example = (
            wrong + [f"{name} is missing" for name in sorted(missing)] + [f"{name} is unknown" for name in extra]
        )[0]
        raise UserError(
            f"{path} does not fit the network: {len(missing)} tensors missing, {len(extra)} unknown, "
            f"{len(wrong)} of another shape (first: {example})"
        )
    network.load_state_dict({name: state[name].to(tensor.dtype) for name, tensor in expected.items()})


def fingerprint(classifier: Classifier, config: DictConfig, preprocessing: DictConfig) -> str:
    """SHA-256 over network configuration, preprocessing, every tensor's name, type, shape and bytes, and the probe."""
    digest = hashlib.sha256()
    facts = [OmegaConf.to_container(node, resolve=True) for node in (config.network, preprocessing)]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in classifier.network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    try:
        digest.update(json.dumps(probe(classifier)).encode())
    except Exception as error:
        raise UserError(
            f"model {config.name} fails on images of its own input size: {type(error).__name__}: {one_line(error)}"
        ) from error
    return digest.hexdigest()


PROBE_IMAGES, PROBE_NUMBERS = 2, 8


@torch.no_grad()
def probe(classifier: Classifier) -> list[int] | None:
    """What the classifier's code makes of its weights: float32 logits on fixed images, condensed to whole numbers.

    They are sums of all logits under fixed signs, counted in 1/128 to 1/256 of the logits' root mean square.
    Processors, threads and kernels move logits by some millionths of that. A sum that happens to lie so close to a
    half changes on another machine, for about one network in 500, which is then measured again. None where logits are
    not finite.
    """
    generator = np.random.default_rng(0)
    channels = classifier.mean.shape[1]
    pixels = generator.random((PROBE_IMAGES, channels, classifier.size, classifier.size), np.float32)
    logits = np.stack([classifier(torch.from_numpy(image[None])).double().numpy() for image in pixels])
    if not np.isfinite(logits).all():
        return None
    size = float(np.sqrt((logits**2).mean()))
    unit = 2.0 ** (math.floor(math.log2(size)) - 7) if size > 0 else 1.0
    signs = generator.choice([-1.0, 1.0], (PROBE_NUMBERS, logits.size))
    sums = signs @ logits.ravel() / math.sqrt(logits.size)
    return [round(value / unit) for value in sums]
